"""The SNN against the ANN of equal shape, and several profiles in one table."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import nir
import numpy as np
import pytest

import hasn
from hasn.counts import Operations
from hasn.energy import PROFILES_COMPARED, break_even, compare_profiles, profile
from hasn.errors import OptionError
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import Draw, chain
from tests.unit.energy.runs import made

PJ = 1e-12
near = partial(pytest.approx, rel=1e-9, abs=0)


def test_the_rate_below_which_the_snn_wins() -> None:
    """1000 synapses, 2 samples of 10 ms; 4 updates of 4.6 pJ. A dense pass costs 4600 pJ, so 9181.6 pJ are left for
    additions of 0.9 pJ: 10201.8 events over 1000 synapses and 20 ms."""
    run = made(connections={"w": Operations(1000, 40, 20000, 0, 40, 40)}, neuron_updates={"n": 4})
    found = break_even(run)
    assert found.ann == near(4600 * PJ)
    assert found.snn == near((40 * 0.9 + 4 * 4.6) / 2 * PJ)
    assert found.rate_hz == near((9200 - 18.4) / 0.9 / 1000 / 20e-3)
    assert found.present_hz == near(40 / 1000 / 20e-3)
    assert found.wins
    assert "below a mean rate of 510 Hz, over all synapses; here it is 2 Hz: it does." in str(found)
    # at that rate both cost the same
    events = round(found.rate_hz * 1000 * 20e-3)
    at = break_even(made(connections={"w": Operations(1000, events, 20000, 0, events, 0)}, neuron_updates={"n": 4}))
    assert at.snn == pytest.approx(at.ann, rel=1e-4)  # of one event's 0.9 in 9200
    assert at.rate_hz == near(found.rate_hz)
    busy = break_even(made(connections={"w": Operations(1000, 20000, 20000, 0, 20000, 0)}, neuron_updates={"n": 4}))
    assert not busy.wins
    assert str(busy).endswith("it does not.")


def test_memory_moves_it() -> None:
    run = made(connections={"w": Operations(1000, 40, 20000, 0, 40, 40)}, neuron_updates={"n": 4})
    found = break_even(run, "cmos45-snn-memory", "cmos45-ann-memory")
    assert found.rate_hz == near((2 * 1000 * 9.6 - 18.4) / 5.9 / 1000 / 20e-3)


def test_what_numbers_cause_stays() -> None:
    run = made(connections={"w": Operations(1000, 0, 500, 500, 0, 500), "v": Operations(100, 40, 2000, 0, 40, 40)},
               neuron_updates={"n": 4})  # fmt: skip
    found = break_even(run)
    assert found.rate_hz == near((2 * 1100 * 4.6 - 500 * 4.6 - 18.4) / 0.9 / 100 / 20e-3)
    assert found.present_hz == near(40 / 100 / 20e-3)


def test_a_silent_run_has_one_too() -> None:
    run = made(connections={"w": Operations(1000, 0, 20000, 0, 0, 0)}, neuron_updates={"n": 4})
    assert break_even(run).rate_hz == near((9200 - 18.4) / 0.9 / 1000 / 20e-3)


def test_updates_alone_can_cost_more() -> None:
    found = break_even(made())  # 100 updates, and 60 synapses to pass
    assert (found.rate_hz, found.wins) == (None, False)
    assert str(found) == (
        "The SNN costs more than the ANN of equal shape at any rate: the updates of its neurons and its "
        "multiply-accumulates alone do."
    )


def test_numbers_alone_have_no_rate() -> None:
    """One step of a sample: 3 products and an update, 18.4 pJ; a dense pass of 5 synapses costs 23, of 4 18.4."""
    for synapses, costs in ((5, "less"), (4, "no less")):
        work = Operations(synapses, 3, synapses, 3, 0, 3)
        run = made(connections={"w": work}, neuron_updates={"n": 1}, steps=1, samples=1)
        found = break_even(run)
        assert (found.rate_hz, found.present_hz, found.wins) == (None, 0.0, costs == "less")
        assert str(found) == (
            f"The SNN costs {costs} than the ANN of equal shape; no spikes arrive at synapses, so it has no rate."
        )


def test_what_has_no_price_to_compare_by() -> None:
    with pytest.raises(OptionError, match="snn: it has no price for an accumulate; got 'loihi1'"):
        break_even(made(), "loihi1")
    with pytest.raises(OptionError, match=r"ann: it has no price for a synapse in one dense pass.*; got 'truenorth'"):
        break_even(made(), ann="truenorth")


def test_a_part_of_a_run_is_compared_with_itself() -> None:
    """At the first of two steps nothing is sent; at the second, all three inputs."""
    net = chain(nir.Linear(np.ones((2, 3))), Draw(1).lif(2), given=(3,), result=(2,))
    run = ProgramInterpreter(hasn.lower(net, dt=1e-3)).run(np.array([[0.0] * 3, [1.0] * 3]))
    table = compare_profiles(run, ["cmos45-snn"], steps=(0, 1))
    assert table.break_even.snn == table.reports["cmos45-snn"].per_inference == near(2 * 4.6 * PJ)
    assert (table.break_even.present_hz, break_even(run, steps=(1, 2)).present_hz) == (0.0, near(1000.0))


def test_profiles_by_file_once_and_synchrony_of_tissue(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'kind = "chip"\n[[constant]]\nterm = "ac"\nvalue = 2\nunit = "nJ"\ncondition = "x"\nsource = "lab book"\n'
        'grade = "measured"\n'
    )
    table = compare_profiles(made(), [mine, profile("loihi1"), "loihi1"])
    assert list(json.loads(table.to_json())["profiles"]) == [str(mine), "loihi1"]
    assert list(compare_profiles(made(), "truenorth").reports) == ["truenorth"]
    with pytest.raises(OptionError, match="profiles: nothing to price by"):
        compare_profiles(made(), [])
    names = ("loihi1", "howarth-2012", "lennie-2003")
    still, synchronous = (compare_profiles(made(), names, synchrony=x).reports for x in (0.0, 1e9))
    assert synchronous["howarth-2012"].by_term()["network_synchrony"] > 0
    assert [synchronous[name].joules for name in ("loihi1", "lennie-2003")] == [
        still[name].joules for name in ("loihi1", "lennie-2003")
    ]


def test_one_table() -> None:
    table = compare_profiles(made())
    assert tuple(table.reports) == PROFILES_COMPARED
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["TrueNorth"] == ("520 pJ", "433 pJ", "624 pJ", "measured", "what enters or leaves the chip")
    assert rows["SpiNNaker 1"][-1] == "nothing that was done"
    lines = table.text.splitlines()
    assert lines[0].split() == ["the", "same", "inference", "on", "energy", "from", "to", "grade"]
    assert lines[-1] == str(table.break_even)
    assert "Not in TrueNorth: what enters or leaves the chip" in lines
    assert not any(line.startswith("Not in SpiNNaker 1") for line in lines)
    data = table.to_dict()
    assert data["profiles"]["truenorth"]["joules_per_inference"] == near(520 * PJ)
    assert data["break_even"]["wins"] is False


def test_other_profiles_and_options() -> None:
    table = compare_profiles(made(), ["cpu", "gpu", "loihi2"], measured={"cpu": 4.0}, bound=True)
    assert [row[1] for row in table.rows] == ["2 J", "unknown", table.rows[2][1]]
    assert table.rows[1][2:5] == ("–", "–", "unknown")
    assert table.rows[2][0] == "Loihi 2, by loihi1's constants as a bound"
    with pytest.raises(OptionError, match="there is no such profile"):
        compare_profiles(made(), ["loihi1", "none"])
