"""Rows, verdict and plain data of a comparison."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from hasn.agreement import Comparison
from hasn.agreement.comparison import Verdict
from hasn.recording import Counts
from hasn.report.facts import (
    agreement_table,
    comparison_data,
    divergence_data,
    divergence_line,
    error_text,
    extent,
    hardware_note,
    index_text,
    neuron_text,
    percent,
    seconds_text,
    sentence,
    verdict,
)
from hasn.report.table import comparison_table
from tests.unit.report.made import FLIPS, by_hand, comparison, parting


def test_table_has_a_row_for_each_backend_and_the_extra_columns_behind_the_precision() -> None:
    found = comparison(flips=FLIPS)
    table = agreement_table(found, {"lava": {"accuracy": "93.0 %"}})
    assert table.columns[:3] == ("backend", "precision", "accuracy")
    assert list(table.rows) == ["brian2", "snntorch", "snntorch:float32", "lava"]
    row = dict(zip(table.columns, table.rows["lava"], strict=True))
    assert row["differing"] == "5"
    assert row["accuracy"] == "93.0 %"
    assert row["steps shifted"] == "1 to 2"
    assert row["spikes"] == f"{found.recordings['lava'].counts.total_spikes:,}"
    assert dict(zip(table.columns, table.rows["brian2"], strict=True))["differing"] == "reference"
    assert table.skipped == {"nest": "not installed"}


def test_text_names_node_neuron_sample_step_and_both_voltages_of_the_first_divergence() -> None:
    found = comparison(flips=FLIPS)
    text = comparison_table(found)
    line = next(line for line in text.splitlines() if line.startswith("lava:"))
    assert "node 'n2', neuron 3, sample 1, step 9:" in line
    for label in ("brian2", "lava"):
        assert f"{found.recordings[label].voltages['n2'][9, 1, 3]:.17g} V" in line
    assert "nest did not run: not installed" in text
    assert not any(line.startswith("snntorch:") for line in text.splitlines())


def test_text_is_aligned_and_has_no_fold_however_large_the_numbers() -> None:
    box = [line for line in comparison_table(comparison()).splitlines() if line[0] in "╭│├╰"]
    assert len({len(line) for line in box}) == 1
    assert any("snntorch" in line and "float32" in line and "100 %" in line for line in box)


def test_a_narrow_table_keeps_within_its_width() -> None:
    assert max(len(line) for line in comparison_table(comparison(), width=70).splitlines()[:5]) <= 70


@pytest.mark.parametrize(
    ("width", "gone"),
    [(140, []), (120, ["steps shifted"]), (100, ["steps shifted", "synaptic operations", "seconds"])],
)
def test_a_narrow_terminal_has_fewer_columns_not_broken_words(width: int, gone: list[str]) -> None:
    lines = comparison_table(_judged(), width=width).splitlines()
    box = [line for line in lines if line[0] in "╭│├╰"]
    assert max(map(len, box)) <= width
    cells = [{cell.strip() for cell in line.strip("│").split("│")} for line in box if line[0] == "│"]
    words = set().union(*cells)
    assert {"differing", "precision", "reference", "float32", "snntorch", "5,678 (+9,012 after)"} <= words
    assert ("shifted" in words) == ("steps shifted" not in gone)
    told = [line for line in lines if line.startswith("Left out")]
    assert told == ([f"Left out in {width} columns: {', '.join(gone)}."] if gone else [])


def test_verdict_counts_by_precision() -> None:
    good, bad = verdict(comparison()), verdict(comparison(flips=FLIPS[:1]))
    assert good.ok
    assert good.headline == "All four runs agree"
    assert good.sentence.startswith("0 differing spikes in float64, 0 differing spikes in float32: ")
    assert not bad.ok
    assert bad.headline == "lava differs from brian2"
    assert bad.sentence.startswith("1 differing spike in float64, 0 differing spikes in float32: ")
    assert "3 samples of 30 steps" in bad.sentence


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.99, "99.00 %"),
        (0.99994, "99.99 %"),
        (0.99996, "99.996 %"),
        (1 - 2e-10, "99.99999998 %"),
        (0.999999, "99.9999 %"),
        (1 - 1e-12, "< 100 %"),
        (1 - 3e-11, "< 100 %"),
        (0.0, "0.00 %"),
    ],
)
def test_only_1_reads_100_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_only_0_reads_0_volts() -> None:
    assert (error_text(0.0), error_text(5e-324), error_text(2.2e-16)) == ("0", "4.9e-324", "2.2e-16")


def test_data_is_json_and_says_what_the_comparison_says() -> None:
    found = comparison(flips=FLIPS)
    data = json.loads(json.dumps(comparison_data(found)))
    assert data["ok"] is False
    assert data["differing"] == {"snntorch": 0, "snntorch:float32": 0, "lava": 5}
    assert data["skipped"] == {"nest": "not installed"}
    first = data["first_divergences"]["lava"]
    assert (first["node"], first["index"], first["sample"], first["step"]) == ("n2", [3], 1, 9)
    assert data["first_divergences"]["snntorch"] is None
    assert data["agreement"]["snntorch"] == 1.0
    assert data["agreement"]["lava"] < 1.0


def test_the_line_of_a_divergence_ends_with_its_cause() -> None:
    found = comparison(flips=FLIPS)
    first = found.first_divergence("lava")
    assert first is not None
    assert divergence_line(first).lower().endswith(first.cause.lower().rstrip(".") + ".")


def _judged(**changes: dict[str, Any]) -> Comparison:
    """Three backends with a figure of its own in every place; ``changes`` (label -> fields) are of the recordings."""
    spikes = {"n2": np.ones((7, 2, 4), dtype=bool)}
    found = by_hand(
        {"brian2": spikes, "snntorch:float32": spikes, "lava": spikes},
        skipped={"nest": "not\n  installed"},
        **{
            "snntorch:float32": Verdict(0, 1, 0, 1.0, 0.0, None),
            "lava": Verdict(1234, 5678, 9012, 0.75, 0.00123, parting()),
        },
    )
    made: dict[str, dict[str, Any]] = {
        "brian2": {"counts": Counts({"n2": 4000, "n4": 321}, {"n2": 70000, "n4": 654}), "seconds": 0.1234},
        "snntorch:float32": {"precision": "float32", "seconds": 12.345, "shifts": {"n2": 2, "n4": 2}},
        "lava": {"shifts": {"n2": 3, "n4": 1}, "seconds": 123.4},
    }
    recordings = {
        label: dataclasses.replace(recording, **made[label], **changes.get(label, {}))
        for label, recording in found.recordings.items()
    }
    return dataclasses.replace(found, recordings=recordings)


def test_every_cell_of_the_agreement_table() -> None:
    table = agreement_table(_judged(), {"lava": {"accuracy": "93 %", "loss": "0.1"}, "brian2": {"loss": "0.2"}})
    assert table.columns == (
        "backend", "precision", "accuracy", "loss", "steps shifted", "spikes", "differing", "ties", "agreement",
        "max |ΔV| (V)", "synaptic operations", "seconds",
    )  # fmt: skip
    assert table.rows == {
        "brian2": ("brian2", "float64", "–", "0.2", "0", "4,321", "reference", "–", "–", "–", "70,654", "0.123"),
        "snntorch:float32": ("snntorch", "float32", "–", "–", "2", "0", "0", "1", "100 %", "0", "0", "12.35"),
        "lava": ("lava", "float64", "93 %", "0.1", "1 to 3", "0", "1,234", "5,678 (+9,012 after)", "75.00 %", "1.2e-03",
                 "0", "123"),
    }  # fmt: skip


def test_an_unknown_precision_is_a_dash_in_the_table_and_named_in_the_verdict() -> None:
    spikes = {"n2": np.ones((7, 2, 4), dtype=bool)}
    found = by_hand({"a": spikes, "b": spikes})
    found = dataclasses.replace(
        found, recordings={k: dataclasses.replace(r, precision="") for k, r in found.recordings.items()}
    )
    assert agreement_table(found).rows["b"][1] == "–"
    assert verdict(found).sentence.startswith("0 differing spikes in unknown precision: ")


@pytest.mark.parametrize(
    ("precisions", "heading"),
    [(("float64", "float64"), "max |ΔV| (V)"), (("float64", "loihi"), "max |Δu|, |Δv| (units)")],
)
def test_the_chips_integers_have_units_for_volts(precisions: tuple[str, ...], heading: str) -> None:
    found = by_hand({"a": {}, "b": {}})
    recordings = {
        label: dataclasses.replace(recording, precision=precision)
        for (label, recording), precision in zip(found.recordings.items(), precisions, strict=True)
    }
    assert agreement_table(dataclasses.replace(found, recordings=recordings)).columns[7] == heading


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9994, "0.999"), (1.0, "1.00"), (99.99, "99.99"), (100.0, "100"), (1234.6, "1235")],
)
def test_seconds_to_two_digits_or_more(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_neuron_in_words() -> None:
    assert [index_text(index) for index in ((), (3,), (3, 2))] == ["()", "3", "(3, 2)"]
    assert neuron_text(parting(index=(3, 2))) == "n2[3, 2]"
    assert neuron_text(parting(index=())) == "n2"


@pytest.mark.parametrize(
    ("text", "stop", "said"),
    [("a cause", ".", "A cause."), ("A.", ".", "A."), ("a b", "", "A b"), ("nIR", ".", "NIR."), ("", ".", "")],
)
def test_a_sentence_has_a_capital_and_a_stop(text: str, stop: str, said: str) -> None:
    assert sentence(text, stop=stop) == said


def test_the_line_of_a_divergence_word_by_word() -> None:
    assert divergence_line(parting()) == (
        "lava: first differs at node 'n2', neuron 3, sample 1, step 9: brian2 spikes, then at 0.25 V; "
        "lava is silent, then at 0.75 V; threshold 0.5 V. A swapped weight."
    )
    line = divergence_line(parting(tie=True, voltages={}, spiked={"lava": True, "brian2": False}, index=(1, 2)))
    assert line == (
        "lava: first differs (a tie) at node 'n2', neuron (1, 2), sample 1, step 9: brian2 is silent; lava spikes; "
        "threshold 0.5 V. A swapped weight."
    )


def test_the_verdict_word_by_word() -> None:
    found = _judged()
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


def test_two_silent_runs_have_no_agreement_but_a_silent_one_beside_another_has() -> None:
    silent, active = np.zeros((7, 2, 4), dtype=bool), np.ones((7, 2, 4), dtype=bool)
    column = agreement_table(by_hand({"r": {"n2": silent}})).columns.index("agreement")
    for other, verdict_of, text in ((silent, 1.0, "–"), (active, 0.0, "0.00 %")):
        found = by_hand({"r": {"n2": silent}, "a": {"n2": other}}, a=Verdict(0, 0, 0, verdict_of, 0.0, None))
        assert agreement_table(found).rows["a"][column] == text


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


def test_the_extent_is_read_from_whatever_was_recorded() -> None:
    assert extent(by_hand({"a": {}, "b": {"n2": np.zeros((7, 2, 4))}})) == (7, 2)
    assert extent(by_hand({"a": {}}, {"a": {"n2": np.zeros((5, 3, 4))}})) == (5, 3)
    found = by_hand({"a": {}})
    outputs = {"a": dataclasses.replace(found.recordings["a"], outputs={"o": np.zeros((6, 4, 1))})}
    assert extent(dataclasses.replace(found, recordings=outputs)) == (6, 4)
    assert extent(found) == (0, 0)


def test_all_of_the_data() -> None:
    data = json.loads(json.dumps(comparison_data(_judged())))
    divergence = data["first_divergences"].pop("lava")
    assert data == {
        "ok": False, "compared": True, "silent": [], "reference": "brian2", "steps": 7, "samples": 2, "dt": 1e-3,
        "method": "euler", "timing": "synchronous",
        "backends": {
            "brian2": {"precision": "float64", "spikes": 4321, "synaptic_operations": 70654, "shifts": {},
                       "seconds": 0.1234},
            "snntorch:float32": {"precision": "float32", "spikes": 0, "synaptic_operations": 0,
                                 "shifts": {"n2": 2, "n4": 2}, "seconds": 12.345},
            "lava": {"precision": "float64", "spikes": 0, "synaptic_operations": 0, "shifts": {"n2": 3, "n4": 1},
                     "seconds": 123.4},
        },
        "differing": {"snntorch:float32": 0, "lava": 1234},
        "ties": {"snntorch:float32": 1, "lava": 5678},
        "after_ties": {"snntorch:float32": 0, "lava": 9012},
        "agreement": {"snntorch:float32": 1.0, "lava": 0.75},
        "max_voltage_error": {"snntorch:float32": 0.0, "lava": 0.00123},
        "first_divergences": {"snntorch:float32": None},
        "skipped": {"nest": "not\n  installed"},
    }  # fmt: skip
    assert divergence == {
        "node": "n2", "index": [3], "sample": 1, "step": 9, "reference": "brian2", "backend": "lava",
        "spiked": {"brian2": True, "lava": False}, "voltages": {"brian2": 0.25, "lava": 0.75}, "threshold": 0.5,
        "tie": False, "cause": "a swapped weight",
    }  # fmt: skip
    assert divergence_data(parting(tie=np.True_, index=(np.int64(2),)))["tie"] is True


def test_the_text_table_lists_who_did_not_run_in_a_row_and_with_the_reason() -> None:
    lines = comparison_table(_judged(), {"lava": {"accuracy": "93 %"}}).splitlines()
    cells = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]] for line in lines if "│" in line
    }
    assert cells["nest"] == ["not run", *["–"] * 9]
    assert cells["lava"][:3] == ["float64", "93 %", "1 to 3"]
    assert list(cells)[-4:] == ["brian2", "snntorch", "lava", "nest"]
    assert "nest did not run: not installed" in lines
    assert lines[-1].startswith("lava: first differs at node 'n2'")
    heads = [line.split("│")[1:-1] for line in lines[1 : lines.index(next(x for x in lines if x[0] == "├"))]]
    columns = [" ".join(part.strip() for part in column if part.strip()) for column in zip(*heads, strict=True)]
    assert columns[-3:] == ["max |ΔV| (V)", "synaptic operations", "seconds"]
    assert any("|ΔV| (V)" in column for head in heads for column in head)  # the unit stays with its figure


def test_words_stand_left_and_numbers_right_in_the_text_table() -> None:
    line = next(line for line in comparison_table(_judged()).splitlines() if "lava" in line)
    words = line.split("│")[1:-1]
    assert [words[0][1], words[1][1]] == ["l", "f"]
    assert words[2].endswith("1 to 3 ")
    assert words[-1].endswith("123 ")
