"""What a Comparison says of its verdicts, and a Divergence as text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from hasn.agreement.comparison import Comparison, Divergence, Verdict
from hasn.counts import Counts
from hasn.recording import Recording
from tests import graphs
from tests.unit.agreement.known import Known

KNOWN = Known(graphs.small_net(), {"input": graphs.spikes((6,), 8, 2)})
VOLTS = {"a": 0.0, "b": 0.987654321012345}
FIRST = Divergence("n2", (3,), 1, 7, "a", "b", {"a": True, "b": False}, VOLTS, 1.1, False, "because", "kind")


def recording(precision: str = "float64", spikes: int = 5) -> Recording:
    return Recording(
        {}, {}, {}, 1e-3, {}, Counts({"n2": spikes}, {"n2": 10 * spikes}), precision=precision, seconds=0.5
    )


def verdict(
    differing: int = 0, ties: int = 0, after: int = 0, error: float = 0.0, first: Divergence | None = None
) -> Verdict:
    return Verdict(differing, ties, after, 0.75, error, first)


def compared(reference: str = "a", precisions: dict[str, str] | None = None, **verdicts: Verdict) -> Comparison:
    ran = {label: recording((precisions or {}).get(label, "float64")) for label in verdicts}
    skipped = {"nest": "not  installed"}
    return Comparison(KNOWN.program, KNOWN.network, KNOWN.inputs, reference, ran, skipped, dict(verdicts))


def test_figures_are_those_of_the_verdicts() -> None:
    found = compared(a=verdict(), b=verdict(1, 2, 3, 0.5, FIRST), c=verdict(4, 5, 6, 0.25))
    assert found.differing == {"a": 0, "b": 1, "c": 4}
    assert found.ties == {"a": 0, "b": 2, "c": 5}
    assert found.after_ties == {"a": 0, "b": 3, "c": 6}
    assert found.agreement == {"a": 0.75, "b": 0.75, "c": 0.75}
    assert found.max_voltage_error == {"a": 0.0, "b": 0.5, "c": 0.25}
    assert found.first_divergence("b") is FIRST
    assert found.first_divergence("a") is None
    with pytest.raises(KeyError):
        found.first_divergence("nest")


def test_ok_is_two_that_ran_and_no_spike_that_no_tie_explains() -> None:
    assert compared(a=verdict(), b=verdict(ties=2, after=3, error=0.5, first=FIRST)).ok
    assert compared(a=verdict(), b=verdict(), c=verdict()).ok
    assert not compared(a=verdict(), b=verdict(), c=verdict(differing=1)).ok
    assert not compared(a=verdict(), b=verdict(differing=1), c=verdict()).ok


def test_fewer_than_two_agree_with_nobody() -> None:
    assert not compared(a=verdict()).ok
    assert not compared().ok


INTEGERS = {"a": "loihi", "b": "loihi", "c": "float64"}


def test_integers_must_be_the_same_voltages_and_currents() -> None:
    assert compared(precisions=INTEGERS, a=verdict(), b=verdict()).ok
    assert not compared(precisions=INTEGERS, a=verdict(), b=verdict(error=1.0)).ok
    assert not compared(precisions=INTEGERS, a=verdict(), b=verdict(error=float("nan"))).ok


def test_floats_beside_integers_need_not_and_integers_beside_floats_need_not() -> None:
    assert compared(precisions=INTEGERS, a=verdict(), b=verdict(), c=verdict(error=1.0)).ok
    assert compared("c", INTEGERS, c=verdict(), a=verdict(error=1.0)).ok


def test_a_divergence_as_text() -> None:
    assert str(FIRST) == (
        "b: node 'n2' neuron [3] sample 1 step 7: a spiked at v = 0, b was silent at v = 0.987654321012, "
        "threshold 1.1: because"
    )


def test_a_divergence_of_a_threshold_has_no_voltages() -> None:
    first = Divergence("t", (1, 2), 0, 4, "x", "y", {"x": False, "y": True}, {}, 1 / 3, True, "a tie")
    assert str(first) == (
        "y: node 't' neuron [1, 2] sample 0 step 4: x was silent, y spiked, threshold 0.333333333333: a tie"
    )
    assert first.kind == ""


def test_the_table_has_a_row_each_and_says_what_first_differs_and_who_did_not_run() -> None:
    text = compared(a=verdict(), b=verdict(1, 2, 3, 0.5, FIRST), c=verdict()).table()
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith("│")}
    assert "reference" in rows["a"]
    assert [cell.strip() for cell in rows["b"].split("│")[1:-1]] == [
        "b", "float64", "0", "5", "1", "2 (+3 after)", "75.00 %", "5.0e-01", "50", "0.500",
    ]  # fmt: skip
    assert "not run" in rows["nest"]
    last = text.splitlines()[-2:]
    assert last[0] == "nest did not run: not installed"
    assert last[1].startswith("b: first differs at node 'n2', neuron 3, sample 1, step 7: a spikes, then at 0 V; ")
    assert last[1].endswith("Because.")


@pytest.mark.parametrize("force", [False, True])
def test_the_report_is_written_over_only_if_forced(tmp_path: Path, force: bool) -> None:
    page = tmp_path / "page.html"
    found = compared(a=verdict(), b=verdict())
    with mock.patch("hasn.report.html.write_report") as write:
        found.to_html(page, force=force)
    assert write.mock_calls == [mock.call(page, found, force=force)]
    with mock.patch("hasn.report.html.write_report") as write:
        found.to_html(page)
    assert write.mock_calls == [mock.call(page, found, force=False)]


@pytest.mark.parametrize(
    ("spikes", "there", "silent"),
    [
        ({"a": (0, 0), "b": (0, 0)}, False, ("n2", "n4")),
        ({"a": (1, 0), "b": (1, 0)}, True, ("n4",)),
        ({"a": (0, 0), "b": (0, 1)}, True, ("n2",)),
        ({"a": (1, 1)}, False, ()),
    ],
)
def test_what_was_compared(spikes: dict[str, tuple[int, int]], there: bool, silent: tuple[str, ...]) -> None:
    """``compared`` needs two backends and a spike; ``ok`` asks for differences alone."""
    ran = {
        label: dataclasses.replace(
            recording(),
            spikes={name: np.full((2, 1, 3), some, dtype=bool) for name, some in zip(("n2", "n4"), both, strict=True)},
        )
        for label, both in spikes.items()
    }
    verdicts = dict.fromkeys(spikes, verdict())
    found = Comparison(KNOWN.program, KNOWN.network, KNOWN.inputs, "a", ran, {}, verdicts)
    assert (found.compared, found.silent, found.ok) == (there, silent, len(spikes) > 1)


def test_an_output_of_zeros_on_every_backend_is_named() -> None:
    def ran(p: float, q: float) -> Recording:
        return dataclasses.replace(recording(), outputs={"p": np.full((2, 1, 3), p), "q": np.full((2, 1, 3), q)})

    recordings = {"a": ran(0.0, 0.0), "b": ran(0.0, -1e-300)}
    found = Comparison(KNOWN.program, KNOWN.network, KNOWN.inputs, "a", recordings, {}, {})
    assert found.zero_outputs == ("p",)
    assert compared(a=verdict(), b=verdict()).zero_outputs == ()
