"""Rows and plain data of a comparison."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.report.facts import (
    agreement_table,
    comparison_data,
    divergence_data,
    divergence_line,
    error_text,
    extent,
    index_text,
    neuron_text,
    percent,
    seconds_text,
    sentence,
)
from hasn.report.table import comparison_table
from tests.unit.report.made import FLIPS, by_hand, comparison, judged, parting


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
    lines = comparison_table(judged(), width=width).splitlines()
    box = [line for line in lines if line[0] in "╭│├╰"]
    assert max(map(len, box)) <= width
    cells = [{cell.strip() for cell in line.strip("│").split("│")} for line in box if line[0] == "│"]
    words = set().union(*cells)
    assert {"differing", "precision", "reference", "float32", "snntorch", "5,678 (+9,012 after)"} <= words
    assert ("shifted" in words) == ("steps shifted" not in gone)
    told = [line for line in lines if line.startswith("Left out")]
    assert told == ([f"Left out in {width} columns: {', '.join(gone)}."] if gone else [])


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


def test_every_cell_of_the_agreement_table() -> None:
    table = agreement_table(judged(), {"lava": {"accuracy": "93 %", "loss": "0.1"}, "brian2": {"loss": "0.2"}})
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


def test_two_silent_runs_have_no_agreement_but_a_silent_one_beside_another_has() -> None:
    silent, active = np.zeros((7, 2, 4), dtype=bool), np.ones((7, 2, 4), dtype=bool)
    column = agreement_table(by_hand({"r": {"n2": silent}})).columns.index("agreement")
    for other, verdict_of, text in ((silent, 1.0, "–"), (active, 0.0, "0.00 %")):
        found = by_hand({"r": {"n2": silent}, "a": {"n2": other}}, a=Verdict(0, 0, 0, verdict_of, 0.0, None))
        assert agreement_table(found).rows["a"][column] == text
        assert comparison_data(found)["agreement"] == {"a": None if text == "–" else 0.0}


def test_the_extent_is_read_from_whatever_was_recorded() -> None:
    assert extent(by_hand({"a": {}, "b": {"n2": np.zeros((7, 2, 4))}})) == (7, 2)
    assert extent(by_hand({"a": {}}, {"a": {"n2": np.zeros((5, 3, 4))}})) == (5, 3)
    found = by_hand({"a": {}})
    outputs = {"a": dataclasses.replace(found.recordings["a"], outputs={"o": np.zeros((6, 4, 1))})}
    assert extent(dataclasses.replace(found, recordings=outputs)) == (6, 4)
    assert extent(found) == (0, 0)


def test_all_of_the_data() -> None:
    data = json.loads(json.dumps(comparison_data(judged())))
    divergence = data["first_divergences"].pop("lava")
    assert data == {
        "ok": False, "compared": True, "silent": [], "zero_outputs": [], "reference": "brian2", "steps": 7,
        "samples": 2, "dt": 1e-3, "method": "euler", "timing": "synchronous",
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
    lines = comparison_table(judged(), {"lava": {"accuracy": "93 %"}}).splitlines()
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
    line = next(line for line in comparison_table(judged()).splitlines() if "lava" in line)
    words = line.split("│")[1:-1]
    assert [words[0][1], words[1][1]] == ["l", "f"]
    assert words[2].endswith("1 to 3 ")
    assert words[-1].endswith("123 ")
