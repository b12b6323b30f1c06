"""Rows, verdict and plain data of a comparison."""

from __future__ import annotations

import json

import pytest

from hasn.report.facts import (
    agreement_table,
    comparison_data,
    divergence_line,
    error_text,
    percent,
    verdict,
)
from hasn.report.table import comparison_table
from tests.unit.report.made import FLIPS, comparison


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


def test_verdict_counts_by_precision() -> None:
    good, bad = verdict(comparison()), verdict(comparison(flips=FLIPS[:1]))
    assert good.ok
    assert good.headline == "0 differing spikes in float64, 0 differing spikes in float32"
    assert not bad.ok
    assert bad.headline == "1 differing spike in float64, 0 differing spikes in float32"
    assert "3 samples of 30 steps" in bad.sentence


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.99, "99.00 %"), (0.999999, "99.9999 %"), (1 - 1e-12, "< 100 %"), (0.0, "0.00 %")],
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
