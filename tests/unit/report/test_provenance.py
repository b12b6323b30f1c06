"""How a comparison was run, line by line."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.agreement import Comparison
from hasn.report import provenance
from hasn.report.provenance import machine, provenance_section, software
from tests import graphs
from tests.unit.report.made import by_hand, comparison


def _facts(found: Comparison) -> dict[str, str]:
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", provenance_section(found).html)
    return {unescape(name): unescape(value) for name, value in rows}


def test_every_line_of_a_comparison() -> None:
    found = comparison(method="exact", timing="hardware")
    facts = _facts(dataclasses.replace(found, skipped={"nest": "not\n  installed", "lava2": "<no>"}))
    assert list(facts) == [
        "reference", "precision and wall time of each run", "data", "time step", "method", "reset", "timing",
        "not run: nest", "not run: lava2", "software", "machine", "date",
    ]  # fmt: skip
    assert facts["precision and wall time of each run"].split("<br>") == [
        "brian2: float64, 0.25 s", "snntorch: float64, 1.25 s", "snntorch:float32: float32, 2.25 s",
        "lava: float64, 3.25 s",
    ]  # fmt: skip
    assert provenance_section(found).html.count("<th>") == 2
    assert facts["not run: nest"] == "not installed"
    assert facts["not run: lava2"] == "<no>"
    wanted = {"reference": "brian2", "data": "3 samples of 30 steps", "time step": "1 ms", "method": "exact",
              "reset": "zero", "timing": "hardware"}  # fmt: skip
    assert {name: facts[name] for name in wanted} == wanted


def test_the_date_is_now_in_utc() -> None:
    date = datetime.strptime(_facts(by_hand({"a": {}}))["date"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert 0 <= (datetime.now(UTC) - date).total_seconds() < 120


def test_an_unknown_precision_and_a_network_without_spikes_say_so() -> None:
    graph = graphs.chain(graphs.Draw(1).linear(3, 6), given=(6,), result=(3,))
    found = by_hand({"a": {}}, graph=graph)
    recording = dataclasses.replace(found.recordings["a"], precision="", seconds=1234.5)
    facts = _facts(dataclasses.replace(found, recordings={"a": recording}))
    assert facts["precision and wall time of each run"] == "a: unknown, 1.23e+03 s"
    assert facts["reset"] == "no neuron spikes"


def test_resets_of_both_kinds_are_listed_in_order() -> None:
    draw = graphs.Draw(1)
    first, second = draw.lif(3), draw.lif(3)
    first.metadata = {"reset": "zero"}
    second.metadata = {"reset": "subtract"}
    graph = graphs.chain(draw.linear(3, 6), first, draw.linear(3, 3), second, given=(6,), result=(3,))
    assert _facts(by_hand({"a": {}}, graph=graph))["reset"] == "subtract, zero"


def test_software_has_what_is_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"one": SimpleNamespace(version="1.2"), "away": SimpleNamespace(version="")}
    monkeypatch.setattr("hasn.backend.list_backends", lambda: here)
    monkeypatch.setattr(provenance, "_simulators", provenance._simulators.__wrapped__)
    lines = software()
    assert lines[-1] == "one 1.2"
    assert f"Python {platform.python_version()}" in lines
    assert f"numpy {np.__version__}" in lines
    assert [line.split()[0] for line in lines] == ["hasn", "nir", "numpy", "scipy", "Python", "one"]
    assert provenance._version("no-such-package") == ""


def _cpuinfo(monkeypatch: pytest.MonkeyPatch, text: str | OSError) -> None:
    def read(path: Path, **_: Any) -> str:
        assert str(path) == "/proc/cpuinfo"
        if isinstance(text, OSError):
            raise text
        return text

    monkeypatch.setattr(Path, "read_text", read)


def test_the_machine_by_its_processors_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _cpuinfo(monkeypatch, "vendor_id : A\nmodel name\t: Fast: 3 GHz\nflags : x\nmodel name : Other\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 5} if pid == 0 else set(), raising=False)
    assert machine() == f"Fast: 3 GHz, 3 cores, {platform.system()} {platform.machine()}"


@pytest.mark.parametrize("text", [OSError(), "vendor_id : A\n"])
def test_a_machine_that_does_not_name_its_processor(monkeypatch: pytest.MonkeyPatch, text: str | OSError) -> None:
    _cpuinfo(monkeypatch, text)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine().startswith(f"{platform.machine()}, 7 cores,")
    monkeypatch.setattr(platform, "processor", lambda: "chip")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine().startswith("chip, 1 core,")
