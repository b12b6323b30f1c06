"""The energy of the reference's run on the page."""

from __future__ import annotations

from hasn.counts import Counts, Operations
from hasn.report.energy import energy_section
from hasn.report.html import report_html
from tests.unit.report.made import comparison, judged


def counted(**more: object) -> Counts:
    what = {"spikes": {"n2": 3}, "steps": 10, "samples": 1, "neuron_updates": {"n2": 50}, "active_updates": {"n2": 20},
            "connections": {"n1": Operations(30, 40, 300, 0, 40, 40)}, **more}  # fmt: skip
    return Counts(**what)  # type: ignore[arg-type]


def test_the_references_run_is_priced() -> None:
    found = judged(brian2={"counts": counted()}, lava={"counts": Counts()})
    section = energy_section(found)
    assert section is not None
    assert section.title == "Energy"
    for cell in ("<td>TrueNorth</td>", '<td class="number">1.04 nJ</td>', "disputed", "45 nm ANN of equal shape, fp32"):
        assert cell in section.html  # 40 operations of 26 pJ
    assert "The SNN costs more than the ANN of equal shape at any rate" in section.html
    assert "<h2>Energy</h2>" in report_html(comparison())


def test_what_cannot_be_priced_says_why() -> None:
    section = energy_section(judged(brian2={"counts": counted(unknown=("n4",))}))
    assert section is not None
    assert "Not priced: node &#x27;n4&#x27; counts: its spikes were not recorded" in section.html


def test_without_counts_there_is_no_section() -> None:
    assert energy_section(judged()) is None
