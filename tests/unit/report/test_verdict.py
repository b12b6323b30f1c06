"""The headline and the sentence of a comparison."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.report.facts import agreement_table
from hasn.report.verdict import hardware_note, verdict
from tests.unit.report.made import FLIPS, by_hand, comparison, judged


def test_verdict_counts_by_precision() -> None:
    good, bad = verdict(comparison()), verdict(comparison(flips=FLIPS[:1]))
    assert good.ok
    assert good.headline == "All four runs agree"
    assert good.sentence.startswith("0 differing spikes in float64, 0 differing spikes in float32: ")
    assert not bad.ok
    assert bad.headline == "lava differs from brian2"
    assert bad.sentence.startswith("1 differing spike in float64, 0 differing spikes in float32: ")
    assert "3 samples of 30 steps" in bad.sentence


def test_an_unknown_precision_is_a_dash_in_the_table_and_named_in_the_verdict() -> None:
    spikes = {"n2": np.ones((7, 2, 4), dtype=bool)}
    found = by_hand({"a": spikes, "b": spikes})
    found = dataclasses.replace(
        found, recordings={k: dataclasses.replace(r, precision="") for k, r in found.recordings.items()}
    )
    assert agreement_table(found).rows["b"][1] == "–"
    assert verdict(found).sentence.startswith("0 differing spikes in unknown precision: ")


def test_the_verdict_word_by_word() -> None:
    found = judged()
    assert verdict(found).headline == "lava differs from brian2"
    assert verdict(found).sentence == (
        "0 differing spikes in float32, 1,234 differing spikes in float64: "
        "snntorch and lava against the 4,321 spikes of brian2, over 2 samples of 7 steps. "
        "5,679 ties (a voltage within rounding of the threshold) counted apart."
    )
    assert not verdict(found).ok


def test_the_verdict_names_each_backend_once_and_adds_up_a_precisions_differences() -> None:
    spikes = {"n2": np.ones((1, 1, 4), dtype=bool)}
    one = Verdict(1, 0, 0, 1.0, 0.0, None)
    found = by_hand(dict.fromkeys(("r", "a", "a:float64", "b", "c"), spikes), **{"a": one, "a:float64": one, "c": one})
    assert verdict(found).headline == "a, a:float64 and c differ from r"
    assert verdict(found).sentence == (
        "3 differing spikes in float64: a, b and c against the 0 spikes of r, over 1 sample of 1 step."
    )
    two = verdict(by_hand({"r": spikes, "a": spikes}))
    assert two.sentence.startswith("0 differing spikes in float64: a against the 0 spikes of r,")


@pytest.mark.parametrize(
    ("runs", "ties", "headline"),
    [
        (2, 0, "Both runs agree"),
        (3, 0, "All three runs agree"),
        (4, 0, "All four runs agree"),
        (4, 2, "All four runs agree, ties apart"),
        (10, 0, "All 10 runs agree"),
    ],
)
def test_the_headline_says_first_who_agrees(runs: int, ties: int, headline: str) -> None:
    spikes = {"n2": np.ones((1, 1, 4), dtype=bool)}
    labels = [f"r{place}" for place in range(runs)]
    found = by_hand(dict.fromkeys(labels, spikes), r1=Verdict(0, ties, 0, 1.0, 0.0, None))
    assert verdict(found).headline == headline
    assert verdict(found).ok


def test_integers_that_differ_where_no_spike_does_are_the_headline() -> None:
    spikes = {"n2": np.ones((1, 1, 4), dtype=bool)}
    found = by_hand({"r": spikes, "a": spikes}, a=Verdict(0, 0, 0, 1.0, 3.0, None))
    integers = {label: dataclasses.replace(r, precision="loihi") for label, r in found.recordings.items()}
    said = verdict(dataclasses.replace(found, recordings=integers))
    assert (said.ok, said.headline) == (False, "No spike differs, but the chip's integers do")


@pytest.mark.parametrize(
    ("backend", "precision", "note"),
    [
        ("lava", "float64", "Lava is simulated on the CPU, in floating point: no chip took part."),
        ("lava", "loihi", "Lava is simulated on the CPU, in the chip's integers: no chip took part."),
        ("brian2", "float64", ""),
    ],
)
def test_where_lava_ran_is_said_where_it_did(backend: str, precision: str, note: str) -> None:
    found = by_hand({"r": {}, "a": {}})
    changed = dataclasses.replace(found.recordings["a"], backend=backend, precision=precision)
    assert hardware_note(dataclasses.replace(found, recordings={**found.recordings, "a": changed})) == note


def both(arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"r": arrays, "a": arrays}


def test_an_agreement_of_zeros_is_none() -> None:
    """Spikes of no node, of one node of two, and of a network in which nothing can spike."""
    silent, active = np.zeros((7, 2, 4), dtype=bool), np.ones((7, 2, 4), dtype=bool)
    found = verdict(by_hand(both({"n2": silent})))
    assert (found.ok, found.compared, found.headline) == (True, False, "Nothing was compared")
    assert found.sentence.startswith("no spikes on r and a, over 2 samples of 7 steps. Give stronger or longer inputs")
    some = verdict(by_hand(both({"n2": active, "n4": silent})))
    assert (some.ok, some.compared, some.headline) == (True, True, "Both runs agree")
    assert some.sentence.endswith(" No spike of n4 on any of them.")
    none = verdict(by_hand(both({}), both({"n2": 1.0 * active})))
    assert (none.compared, none.headline) == (False, "Nothing was compared")
    assert none.sentence == "no spikes: nothing in the network spikes, on r and a, over 2 samples of 7 steps."


def test_one_backend_alone_has_nothing_to_compare_with() -> None:
    found = verdict(by_hand({"brian2": {"n2": np.zeros((1, 1, 4), dtype=bool)}}))
    assert (found.ok, found.headline) == (False, "Nothing to compare")
    assert found.sentence == "Only brian2 ran, so there is no other to hold it against."


def test_an_output_of_zeros_is_said_beside_an_agreement() -> None:
    active = np.ones((7, 2, 4), dtype=bool)
    found = by_hand({"r": {"n2": active}, "a": {"n2": active}})
    recordings = {
        label: dataclasses.replace(r, outputs={"o": np.zeros((7, 2, 1)), "p": np.ones((7, 2, 1))})
        for label, r in found.recordings.items()
    }
    said = verdict(dataclasses.replace(found, recordings=recordings))
    assert (said.ok, said.compared) == (True, True)
    assert said.sentence.endswith("over 2 samples of 7 steps. Nothing but zeros at o.")
