"""Tissue by rate alone: the papers' totals and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hasn.energy.biology import budget
from hasn.errors import OptionError


def test_attwell_and_laughlins_total_and_split() -> None:
    """3.29e9 ATP/s a neuron at 4 Hz (p. 1139); 47, 34 and 13 % in the abstract, the rest presynaptic and glutamate."""
    found = budget("attwell-laughlin-2001", rate_hz=4, synapses=8000, release_probability=0.25)
    assert found.total == pytest.approx(3.29e9, rel=0.01)
    published = {"action potentials": 0.47, "postsynaptic": 0.34, "rest": 0.13, "presynaptic and glutamate": 0.06}
    assert found.split == pytest.approx(published, abs=0.02)
    assert found.terms["action_potential"] == 4 * 3.84e8
    assert found.terms["glutamate_recycling"] / found.total == pytest.approx(0.03, abs=0.005)  # "only 3 %"
    assert found.watts == pytest.approx(3.2906e9 * 50e3 / 6.02214e23, rel=1e-4)
    # 9.2e7 neurons in a gram: 30 umol ATP/g/min (p. 1139)
    assert found.total * 9.2e7 * 60 / 6.02214e23 == pytest.approx(30e-6, rel=0.02)


def test_howarths_split() -> None:
    found = budget("howarth-2012", rate_hz=4, synapses=8000, release_probability=0.25)
    published = {"action potentials": 0.21, "postsynaptic": 0.50, "rest": 0.20, "presynaptic and glutamate": 0.09}
    assert found.split == pytest.approx(published, abs=0.01)


def test_what_scales_with_what() -> None:
    one = budget(rate_hz=2, synapses=1000, release_probability=0.5).terms
    assert one["postsynaptic"] == 2 * 1000 * 0.5 * 1.4e5
    assert one["resting_neuron"] == 3.42e8
    silent = budget(rate_hz=0)
    assert silent.total == 4.44e8
    assert silent.split == {"rest": 1.0}
    assert budget(rate_hz=4, joules_per_mol=25e3).watts == budget(rate_hz=4).watts / 2


def test_synchrony_is_off_by_default() -> None:
    plain, more = budget(rate_hz=4), budget(rate_hz=4, synchrony=2e8)
    assert "network_synchrony" not in plain.terms
    assert more.total - plain.total == pytest.approx(2e8)
    assert "network synchrony" in more.split


def test_lennies_figure_is_never_added_to_parts() -> None:
    lennie, parts = budget("lennie-2003", rate_hz=1), budget(rate_hz=1)
    assert lennie.terms == {"action_potential": 2.4e9}
    assert lennie.all_in
    for one, other in ((lennie, parts), (parts, lennie), (lennie, lennie)):
        with pytest.raises(OptionError, match="lennie-2003 has everything in one figure: it is not added to parts"):
            _ = one + other
    with pytest.raises(OptionError, match="nothing is added to it"):
        budget("lennie-2003", rate_hz=1, synchrony=1.0)


def test_parts_add_up() -> None:
    both = budget(rate_hz=1) + budget("howarth-2012", rate_hz=2)
    assert both.model == "attwell-laughlin-2001 + howarth-2012"
    assert both.terms["resting_glia"] == 2.04e8
    assert both.terms["action_potential"] == 3.84e8 + 2 * 1.19e8
    with pytest.raises(OptionError, match="different prices"):
        _ = budget(rate_hz=1) + budget(rate_hz=1, joules_per_mol=30e3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"rate_hz": -1}, "rate_hz: makes no sense; got -1; wanted a number >= 0"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"synapses": -1}, "synapses"),
        ({"synapses": float("inf")}, "synapses"),
        ({"synchrony": -1}, "synchrony"),
        ({"release_probability": 1.01}, "release_probability: makes no sense; got 1.01; wanted 0 to 1"),
        ({"joules_per_mol": 0}, "joules_per_mol: makes no sense; got 0; wanted a number > 0"),
        ({"model": "loihi1"}, "not a profile of tissue; got 'loihi1'; wanted attwell-laughlin-2001, howarth-2012, len"),
        (
            {"model": "nobody"},
            "model: there is no such profile of tissue; got 'nobody'; wanted attwell-.*, howarth-2012, len",
        ),
        ({"model": 3}, "model: there is no such profile of tissue; got 3"),
        ({"rate_hz": "4"}, "rate_hz: makes no sense; got '4'; wanted a number >= 0"),
        ({"rate_hz": True}, "rate_hz: makes no sense; got True"),
        ({"rate_hz": None}, "rate_hz: makes no sense; got None"),
        ({"synapses": [1, 2]}, "synapses: makes no sense"),
        ({"release_probability": -0.1}, "release_probability"),
    ],
)
def test_what_makes_no_sense(how: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        budget(**{"rate_hz": 4, **how})


OWN = 'kind = "tissue"\n' + "".join(
    f'[[constant]]\nterm = "{term}"\nvalue = {value}\nunit = "{unit}"\ncondition = "x"\nsource = "lab"\n{more}\n'
    'grade = "measured"\n'
    for term, value, unit, more in (
        ("action_potential", 100, "ATP", ""), ("network_synchrony", 7, "ATP/s", ""), ("vesicle_cycling", 5, "ATP", ""),
    )
)  # fmt: skip


def test_tissue_of_ones_own(tmp_path: Path) -> None:
    """At 2 Hz, 10 synapses and every second vesicle: 200 and 10 x 5 ATP/s, and what goes on whatever the rate."""
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    found = budget(path, rate_hz=2, synapses=10, release_probability=0.5, synchrony=3)
    assert found.terms == {"action_potential": 200, "network_synchrony": 7 + 3, "vesicle_cycling": 50}
    path.write_text(OWN.replace('source = "lab"', 'source = "lab"\naccount = "other"', 1))
    with pytest.raises(OptionError, match="model: its accounts disagree: there is no one budget"):
        budget(path, rate_hz=2)


def test_one_figure_for_everything_has_no_split() -> None:
    assert budget("lennie-2003", rate_hz=1).split == {}
