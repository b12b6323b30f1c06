"""The SNN against the ANN of equal shape, and several profiles in one table."""

from __future__ import annotations

from functools import partial

import pytest

from hasn.counts import Operations
from hasn.energy import PROFILES_COMPARED, break_even, compare_profiles
from hasn.errors import OptionError
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
    assert str(found) == "The SNN costs more than the ANN of equal shape at any rate: its neurons' updates alone do."


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
