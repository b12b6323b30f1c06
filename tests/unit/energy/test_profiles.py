"""Profiles: what ships is whole, what is wrong is refused by name, files of one's own are read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from hasn.energy import profile, profiles
from hasn.energy.profile import GRADES, UNITS, parsed
from hasn.errors import FileError, OptionError, ParameterError

WHOLE: dict[str, Any] = {
    "kind": "chip",
    "constant": [
        {
            "term": "synaptic_operation",
            "value": 2,
            "unit": "pJ",
            "condition": "1 V",
            "source": "T1",
            "grade": "measured",
        }
    ],
}
#: As the literature has them: (profile, term, account) -> SI value.
PUBLISHED = {
    ("loihi1", "synaptic_operation", ""): 23.6e-12,
    ("loihi1", "active_update", ""): 81e-12,
    ("loihi1", "inactive_update", ""): 52e-12,
    ("loihi1", "plastic_update", ""): 120e-12,
    ("loihi1", "message", ""): 1.7e-12,
    ("loihi1", "hop_east_west", ""): 3e-12,
    ("loihi1", "hop_north_south", ""): 4e-12,
    ("truenorth", "synaptic_operation", ""): 26e-12,
    ("spinnaker1", "synaptic_operation", "Sharp 2012"): 43e-9,
    ("spinnaker1", "neuron_time", "Sharp 2012"): 100e-6,  # 100 nJ a neuron and millisecond, in watts
    ("spinnaker1", "synaptic_operation", "van Albada 2018"): 5.9e-6,
    ("cmos45-ann", "dense_pass", ""): 4.6e-12,
    ("cmos45-ann-int8", "dense_pass", ""): 0.23e-12,
    ("cmos45-snn", "ac", ""): 0.9e-12,
    ("cmos45-snn", "mac", ""): 4.6e-12,
    ("cmos45-snn-int8", "ac", ""): 0.03e-12,
    ("attwell-laughlin-2001", "action_potential", ""): 3.84e8,
    ("attwell-laughlin-2001", "resting_neuron", ""): 3.42e8,
    ("attwell-laughlin-2001", "resting_glia", ""): 1.02e8,
    ("lennie-2003", "action_potential", ""): 2.4e9,
}


@pytest.mark.parametrize(("name", "term", "account"), PUBLISHED)
def test_constants_are_the_published_ones(name: str, term: str, account: str) -> None:
    (found,) = [c for c in profile(name).of(account) if c.term == term]
    assert found.value is not None
    assert found.value * UNITS[found.unit][1] == pytest.approx(PUBLISHED[name, term, account], rel=1e-12)


def test_a_vesicle_costs_what_its_parts_do() -> None:
    parts = ("postsynaptic", "presynaptic_calcium", "vesicle_cycling", "glutamate_recycling")
    for name in ("attwell-laughlin-2001", "howarth-2012"):
        values = {constant.term: constant.value or 0 for constant in profile(name).constants}
        assert sum(values[part] for part in parts) == pytest.approx(1.64e5, rel=2e-3)  # published to three digits


def test_everything_that_ships_says_where_it_is_from() -> None:
    found = {name: profile(name) for name in profiles()}
    assert {"loihi1", "loihi2", "truenorth", "spinnaker1", "spinnaker2", "cpu", "gpu", "howarth-2012"} <= set(found)
    for one in found.values():
        assert one.note or one.kind == "chip"
        for constant in one.constants:
            assert len(constant.source) > 20
    graded = {name: {constant.grade for constant in one.constants} for name, one in found.items()}
    assert graded["loihi1"] == {"simulated", "measured"}  # pre-silicon, but for its static power
    assert [c.term for c in found["loihi1"].constants if c.grade == "measured"] == ["static_power"]
    assert graded["loihi2"] == graded["cpu"] == graded["gpu"] == {"unknown"}
    assert graded["spinnaker1"] == graded["spinnaker2"] == {"disputed"}
    assert graded["truenorth"] == {"measured"}
    assert len(found["spinnaker1"].accounts) == 3


def test_an_unknown_profile_lists_them() -> None:
    with pytest.raises(OptionError, match=r"there is no such profile; got 'loihi3'; wanted attwell.*loihi1.*truenorth"):
        profile("loihi3")


def test_files_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'kind = "chip"\n[[constant]]\nterm = "ac"\nvalue = 2\nunit = "nJ"\ncondition = "x"\nsource = "lab book 3"\n'
        'grade = "measured"\n'
    )
    found = profile(path)
    assert (found.constants[0].joules(50e3), found.constants[0].factors) == (2e-9, (1 / 1.2, 1.2))
    assert found.title == str(path)
    for text in ("[[", "\xff"):
        path.write_bytes(text.encode("latin1"))
        with pytest.raises(FileError, match="not a profile that can be read"):
            profile(path)
    with pytest.raises(FileError, match="not a profile that can be read"):
        profile(tmp_path / "none.toml")


def wrong(change: Any) -> None:
    data = copy.deepcopy(WHOLE)
    change(data, data["constant"][0])
    parsed("mine", data)


@pytest.mark.parametrize("key", ["source", "grade", "unit", "condition", "term"])
@pytest.mark.parametrize("how", ["missing", "empty", "number"])
def test_a_constant_says_everything(key: str, how: str) -> None:
    def change(data: Any, constant: Any) -> None:
        constant[key] = {"empty": "  ", "number": 3}.get(how)
        if how == "missing":
            del constant[key]

    with pytest.raises(ParameterError, match=rf"mine: constant 1: it has no {key}"):
        wrong(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, c: c.update(grade="certain"), "no such grade; got 'certain'; wanted measured, simulated"),
        (lambda d, c: c.update(unit="eV"), "no such unit; got 'eV'; wanted J, mJ"),
        (lambda d, c: c.update(term="thinking"), "no such term; got 'thinking'"),
        (lambda d, c: c.update(unit="W"), "not a unit of synaptic_operation; got W; wanted J"),
        (lambda d, c: c.update(unit="ATP"), "not a unit of synaptic_operation; got ATP; wanted J"),
        (lambda d, c: c.update(sourse="x"), "no such key; got sourse"),
        (lambda d, c: c.update(bound="at most"), "no such bound"),
        (lambda d, c: c.update(value=0), "not a price; got 0"),
        (lambda d, c: c.update(value=-1.5), "not a price; got -1.5"),
        (lambda d, c: c.update(value=float("inf")), "not a price; got inf"),
        (lambda d, c: c.update(value="2"), "not a price; got '2'"),
        (lambda d, c: c.update(value=True), "not a price; got True"),
        (lambda d, c: c.pop("value"), "has a value unless its grade is 'unknown'"),
        (lambda d, c: c.update(grade="unknown"), "has a value unless its grade is 'unknown'; got 2"),
        (lambda d, c: d.update(kind="planet"), "no such kind; got planet; wanted chip"),
        (lambda d, c: d.pop("kind"), "no such kind"),
        (lambda d, c: d.update(titel="x"), "no such key; got titel"),
        (lambda d, c: d.update(constant=[]), "at least one"),
        (lambda d, c: d.update(constant=[1]), "at least one"),
        (lambda d, c: d["constant"].append(dict(c)), "synaptic_operation is priced twice"),
        (lambda d, c: c.update(all_in="false"), "constant 1: all_in is true or false; got 'false'"),
        (lambda d, c: c.update(optional=1), "constant 1: optional is true or false; got 1"),
        (lambda d, c: c.update(optional=True), "static power alone may be optional; got synaptic_operation"),
        (lambda d, c: c.update(account=3), "constant 1: account is a text; got 3"),
        (lambda d, c: d.update(title=3), "title is a text; got 3"),
        (lambda d, c: d.update(leaves_out="memory"), "leaves_out is a list of texts; got 'memory'"),
        (lambda d, c: d.update(bounded_by="loihi3"), "bounded_by names no profile; got 'loihi3'; wanted attwell"),
        (lambda d, c: d.update(kind="tissue"), "not a price of a profile of tissue; got synaptic_operation in pJ"),
        (lambda d, c: c.update(term="action_potential", unit="ATP"), "not a price of a profile of chip; got action_po"),
        (
            lambda d, c: d["constant"].append({**c, "term": "ac"}),
            "synaptic_operation counts ac too: it would be paid twice",
        ),
        (
            lambda d, c: d["constant"].extend([{**c, "term": "neuron_update"}, {**c, "term": "inactive_update"}]),
            "neuron_update counts inactive_update too",
        ),
        (lambda d, c: d["constant"].append({**c, "term": "dense_pass"}), "dense_pass counts synaptic_operation too"),
        (lambda d, c: d["constant"].append({**c, "term": "measured"}), "measured counts synaptic_operation too"),
        (
            lambda d, c: (c.update(all_in=True), d["constant"].append({**c, "term": "ac", "all_in": False})),
            "synaptic_operation has everything in it: ac cannot be added to it",
        ),
    ],
)
def test_what_is_wrong_is_refused(change: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        wrong(change)


def test_accounts_may_price_the_same_term_and_learning_stands_beside_an_all_in_figure() -> None:
    data = copy.deepcopy(WHOLE)
    first = data["constant"][0]
    first["all_in"] = True
    data["constant"] += [{**first, "term": "plastic_update", "all_in": False}, {**first, "account": "other"}]
    assert parsed("mine", data).accounts == ("", "other")


def test_bands_follow_grades() -> None:
    """A measured constant's is the narrowest; one that is a minimum is not undercut."""
    order = [GRADES[grade] for grade in ("measured", "simulated", "estimate")]
    assert order == sorted(order)  # type: ignore[type-var]
    (least,) = [c for c in profile("loihi1").constants if c.term == "synaptic_operation"]
    assert least.factors == (1.0, 2.0)
