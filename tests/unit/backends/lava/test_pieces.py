"""A long run of which little is kept runs in pieces: one network throughout, and files of one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from tests.graphs import DT
from tests.unit.backends.lava.nets import ROUNDING, loop, some_spikes
from tests.unit.backends.lava.test_batches import delayed_net

GROUPS = {"spikes": None, "voltages": None, "counts": True}
STEPS, BATCH = 40, 2


def in_pieces(net: Any, steps: int) -> Any:
    """On Lava, in pieces of so many steps of two samples."""
    executable: Any = hasn.compile(net, "lava", dt=DT)
    executable._piece = steps * BATCH * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    return executable


@pytest.mark.parametrize("net", [delayed_net(), loop(v_leak=0.2)], ids=["delays", "loop"])
@pytest.mark.usefixtures("lava")
def test_pieces_are_the_run(net: Any) -> None:
    x = some_spikes(STEPS, BATCH)
    with in_pieces(net, 7) as executable:
        whole = executable.run(x, record=("spikes", "voltages"))
        found = executable.run(x, record=GROUPS, keep_state=True)
        end = executable.state()
        executable.run(x, record="spikes", keep_state=True)
        wanted = executable.state()
    assert found.counts == whole.counts
    for name, array in whole.spikes.items():
        assert array.any()
        np.testing.assert_array_equal(found.spikes[name], array)
        np.testing.assert_allclose(found.voltages[name], whole.voltages[name], rtol=0, atol=ROUNDING)
    for name, past in wanted.past.items():
        np.testing.assert_array_equal(end.past[name], past)
    assert end.step == STEPS


def test_one_network_runs_all_pieces_and_its_files_do_not_grow(workers: list[Any]) -> None:
    net = delayed_net()
    executable = in_pieces(net, 5)
    sizes = []
    for steps in (20, 200):
        asked: list[str] = []
        executable.run(some_spikes(10, BATCH), record="counts")  # starts the worker
        ask = workers[0].ask

        def spied(request: dict[str, Any], progress: Any = None, ask: Any = ask, asked: list[str] = asked) -> Any:
            asked.append(request["op"])
            if request["op"] == "end":
                sizes.append(sum(path.stat().st_size for path in Path(request["folder"]).rglob("*") if path.is_file()))
            return ask(request, progress)

        workers[0].ask = spied
        executable.run(some_spikes(steps, BATCH), record="counts")
        workers[0].ask = ask
        assert asked == ["start", *["step"] * steps, "end"]
    assert sizes[0] == sizes[1] > 0


def test_a_run_of_one_piece_runs_as_it_is_mapped(workers: list[Any]) -> None:
    """On stock processes, whatever is kept of it."""
    with in_pieces(delayed_net(), STEPS) as executable:
        found = executable.run(some_spikes(STEPS, BATCH), record="counts")
        assert found.shifts == {name: executable.mapping.shifts[name] for name in found.shifts}
        assert any(found.shifts.values())
        assert not any(executable.run(some_spikes(STEPS + 1, BATCH), record="counts").shifts.values())
    assert len(workers) == 1


def test_a_run_that_is_broken_off_stops_its_network(workers: list[Any]) -> None:
    wrong = some_spikes(STEPS, BATCH)
    wrong[20, 0, 0] = np.nan
    with in_pieces(delayed_net(), 7) as executable:
        with pytest.raises(hasn.errors.InputError, match=r"got nan at index \(20, 0, 0\)"):
            executable.run(wrong, record="counts")
        assert workers[0].server.streams == {}
