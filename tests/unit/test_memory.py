"""What numbers in a file make a network take, what a run takes, and memory that does not suffice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array
from typer.testing import CliRunner

import hasn
from hasn import room
from hasn.backend import get_backend
from hasn.cli.app import app
from hasn.errors import OutOfMemoryError
from hasn.ir.lower import lower
from hasn.nodes import SparseLinear
from hasn.program.past import History
from hasn.recordings.asked import asked
from hasn.recordings.room import row_bytes

BACKENDS = ["snntorch", "brian2", "lava"]


def _lif(n: int) -> nir.LIF:
    return nir.LIF(
        tau=np.full(n, 0.02), r=np.full(n, 100.0), v_leak=np.zeros(n), v_threshold=np.ones(n), v_reset=np.zeros(n)
    )


def _chain(*nodes: nir.NIRNode, given: tuple[int, ...] = (2,), result: tuple[int, ...] = (2,)) -> nir.NIRGraph:
    names = ["input", *(f"n{i}" for i in range(len(nodes))), "output"]
    all_nodes = [nir.Input(np.array(given)), *nodes, nir.Output(np.array(result))]
    pairs = list(zip(names, names[1:], strict=False))  # noqa: RUF007
    return nir.NIRGraph(dict(zip(names, all_nodes, strict=True)), pairs, type_check=False)


def _needs(backend: str) -> None:
    if get_backend(backend).why_not():
        pytest.skip(f"{backend} is not installed here")


#: One of two elements comes 3 steps late, the other a million seconds.
LATE = {
    "Delay": nir.Delay(np.array([3e-3, 1e6])),
    "synapses": SparseLinear(csr_array(np.diag([1.0, 1.0])), np.array([3, 10**9])),
}


@pytest.mark.parametrize("node", LATE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_keeps_no_more_steps_than_it_has(backend: str, node: str) -> None:
    """dt*r/tau = 5: an input of 1 makes a spike at once, 3 steps late; what comes in 10^9 steps never comes."""
    _needs(backend)
    with hasn.compile(_chain(LATE[node], _lif(2)), backend, dt=1e-3) as executable:
        recording = executable.run(np.ones((8, 2)))
        assert recording.spikes["n1"].sum(0).tolist() == [5, 0]
        assert not recording.spikes["n1"][:3].any()
        assert executable.run(np.ones((2, 2))).counts.total_spikes == 0
        assert executable.run(np.ones((9, 2))).counts.total_spikes == 6


@pytest.mark.parametrize("node", LATE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_of_all_that_is_under_way_is_refused(backend: str, node: str) -> None:
    _needs(backend)
    words = r"node '(n1|input)'.*(1,000,000,000 steps).*got \d+ GB; wanted at most .* free here. Shorten that delay"
    with hasn.compile(_chain(LATE[node], _lif(2)), backend, dt=1e-3) as executable:
        with pytest.raises(OutOfMemoryError, match=words):
            executable.run(np.ones((3, 2)), keep_state=True)
        if backend == "snntorch":  # its stream keeps no more steps than it has taken
            stream = [executable.step(np.ones(2))["output"] for _ in range(8)]
            np.testing.assert_array_equal(np.array(stream).sum(0), [5, 0])
        else:
            with pytest.raises(OutOfMemoryError, match=words):
                executable.step(np.ones(2))


@pytest.mark.parametrize("node", LATE)
def test_check_says_what_is_under_way(node: str) -> None:
    (finding,) = [f for f in hasn.check(_chain(LATE[node], _lif(2)), dt=1e-3) if "under way" in f.message]
    assert finding.node == "n0"
    assert "1,000,000,000 steps of 2 element(s) are under way: 16 GB for each sample" in finding.message
    assert finding.severity in ("note", "warning")  # as much as the machine has


@pytest.mark.parametrize(("seconds", "dt"), [(1e6, 1e-4), (1e300, 1e-3), (1e308, 1e-10)])
def test_more_steps_than_can_be_counted(seconds: float, dt: float) -> None:
    graph = _chain(nir.Delay(np.full(2, seconds)), _lif(2))
    assert [f.node for f in hasn.check(graph, dt=dt) if f.severity == "error"] == ["n0"]
    held = _lif(2)
    held.metadata["refractory"] = seconds
    assert [f.node for f in hasn.check(_chain(held), dt=dt) if f.severity == "error"] == ["n0"]


#: Shapes out of numbers in a file, far over what any machine has: (graph, node that is blamed).
LARGE = {
    "Input": (_chain(given=(10**14,), result=(10**14,)), "input"),
    "Flatten": (
        _chain(nir.Flatten({"input": np.array([10**7, 10**7])}, 0, -1), given=(10**7, 10**7), result=(10**14,)),
        "n0",
    ),
    "Conv1d": (_chain(nir.Conv1d(None, np.ones((1, 1, 1)), 1, 10**14, 1, 1, np.zeros(1)), given=(1, 5)), "n0"),
    "Conv2d": (
        _chain(nir.Conv2d(None, np.ones((1, 1, 1, 1)), 1, 10**7, 1, 1, np.zeros(1)), given=(1, 5, 5)),
        "n0",
    ),
    "SumPool2d": (
        _chain(nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([10**7, 10**7])), given=(1, 5, 5)),
        "n0",
    ),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_shapes_that_no_machine_holds_are_refused(backend: str, case: str) -> None:
    """10^14 elements or more: check lists it, compile raises it, in no time and with nothing of that size made."""
    _needs(backend)
    graph, node = LARGE[case]
    if case not in ("Input", "Flatten"):
        kept = {name: part for name, part in graph.nodes.items() if name != "output"}
        graph = nir.NIRGraph(kept, graph.edges[:-1], type_check=False)
    found = [f for f in hasn.check(graph, dt=1e-3) if f.error is OutOfMemoryError]
    assert [(f.severity, f.node if case != "Flatten" else "n0") for f in found] == [("error", node)]
    with pytest.raises(
        OutOfMemoryError, match=r"node '\w+': the network takes .* (TB|PB) .*; wanted at most .*free here"
    ):
        hasn.compile(graph, backend, dt=1e-3)


def test_check_notes_a_large_network_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.ir.size.free_bytes", lambda: 10**12)
    graph = _chain(given=(10**8,), result=(10**8,))
    (note,) = [f for f in hasn.check(graph, dt=1e-3) if "the network takes" in f.message]
    assert (note.severity, note.got) == ("note", "100,000,000 elements")
    assert "3.2 GB for one step of one sample" in note.message  # Input and Output, 16 bytes an element


@pytest.mark.parametrize("backend", ["brian2", "lava"])
def test_a_convolution_that_cannot_be_unrolled(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 x 64 channels of 5 x 5 over 200 x 200 places: 4 billion synapses; snnTorch keeps the kernel alone."""
    _needs(backend)
    monkeypatch.setattr(room, "free_bytes", lambda: 10**11)
    conv = nir.Conv2d((204, 204), np.ones((64, 64, 5, 5)), 1, 0, 1, 1, np.zeros(64))
    graph = _chain(conv, given=(64, 204, 204), result=(64, 200, 200))
    with pytest.raises(OutOfMemoryError, match=r"node 'n0': a convolution.*got 287 GB.*snntorch"):
        hasn.compile(graph, backend, dt=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recording_that_does_not_fit_is_refused_before_the_run(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """10^6 steps of 1,000: spikes of a byte, output and data of eight."""
    _needs(backend)
    monkeypatch.setattr(room, "free_bytes", lambda: 10**9)
    x = np.broadcast_to(np.float64(1), (10**6, 1000))
    executable = hasn.compile(_chain(_lif(1000), given=(1000,), result=(1000,)), backend, dt=1e-3)
    words = r"node '\w+': the recording of 1,000,000 steps.*got 17 GB.*state=..."
    with executable, pytest.raises(OutOfMemoryError, match=words):
        executable.run(x)


def test_modulators_do_not_hide_how_many_steps_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the Inputs there is a source without elements; 12 MB of data and outputs fit, 400 MB do not."""
    monkeypatch.setattr(room, "free_bytes", lambda: 2 * 10**8)
    graph = _chain(nir.Linear(np.full((2, 500), 0.1)), _lif(2), given=(500,), result=(2,))
    learns = hasn.plasticity.attach(graph, "n0", hasn.plasticity.RewardSTDP())
    with hasn.compile(learns, dt=1e-3) as executable:
        executable.run(np.ones((3_000, 500)), modulators={"reward": np.ones(3_000)})
        with pytest.raises(OutOfMemoryError, match="the recording of 100,000 steps"):
            executable.run(np.broadcast_to(1.0, (100_000, 500)), modulators={"reward": np.ones(100_000)})


@pytest.mark.parametrize(
    ("how", "fits"),
    [
        ({"record": "counts"}, True),  # nothing is kept, and the data are taken piece by piece
        ({"last": 3}, False),  # of 1,000 Outputs, 8 bytes at every step
        ({"record": {"spikes": ["n0"], "voltages": ["n0"], "outputs": []}, "every": 100_000}, True),  # ten rows
        ({"record": {"voltages": ["n0"], "outputs": []}, "every": 2}, False),
    ],
)
def test_what_is_kept_of_a_run_in_pieces(how: dict[str, Any], fits: bool) -> None:
    """10^6 steps of 1,000 neurons: 8 GB for each kind of number; a machine of 1 GB is asked for what is kept alone."""
    program = lower(_chain(_lif(1000), given=(1000,), result=(1000,)), dt=1e-3)
    wanted = asked(
        how.get("record", ("spikes",)), program, ("spikes", "voltages"), how.get("every", 1), how.get("last")
    )
    kept = 10**6 * sum(row_bytes(program, wanted).values())
    assert (kept < 10**9) == fits


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (
            MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"),
            "8 GB",
        ),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000 bytes."
            ),
            "8 kB",
        ),
        (MemoryError(), None),
    ],
)
def test_what_libraries_say_becomes_one_line(error: Exception, got: str | None) -> None:
    with pytest.raises(OutOfMemoryError) as found, room.in_memory("run on x", "Take less.", "lif"):
        raise error
    assert str(found.value).startswith("node 'lif': memory does not suffice to run on x")
    assert found.value.got == (None if got is None else f"{got} more")
    assert str(found.value).endswith("Take less.")


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), room.in_memory("run", "Take less."):
        raise RuntimeError("shapes do not fit")
    inner = OutOfMemoryError("that one", node="a")
    with pytest.raises(OutOfMemoryError) as found, room.in_memory("run", "Take less."):
        raise inner
    assert found.value is inner


def test_what_is_free_is_bounded_by_ulimit() -> None:
    code = (
        "import resource; from hasn.room import free_bytes; import os;"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, used + 10**8)); print(free_bytes())"
    )
    found = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 9 * 10**7 < found <= 10**8


def test_a_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the old checkpoint stays, nothing else is left."""
    code = (
        "import resource, signal, sys, torch; from pathlib import Path;"
        "from hasn.backends.snntorch.training.checkpoint import write_checkpoint as w;"
        "from hasn.errors import FileError;"
        "path = Path(sys.argv[1]); w(path, {'a': torch.zeros(3)}); signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000));\n"
        "try: w(path, {'a': torch.zeros(100000)})\n"
        "except FileError as error: print(error)"
    )
    path = tmp_path / "run.pt"
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert f"{path}: could not be written: File too large; got" in ran.stdout
    assert "free on that disk" in ran.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_the_past_grows_with_the_steps() -> None:
    """A ring of 200 that has seen 130 steps, and of 100, which has come round."""
    for length in (200, 100):
        history = History({"a": length}, {"a": (1,)}, 1)
        for t in range(130):
            history.push({"a": np.array([[t + 1.0]])})
        wanted = np.concatenate([np.zeros(max(0, length - 130)), np.arange(131 - min(length, 130), 131)])
        np.testing.assert_array_equal(history.past()["a"][:, 0, 0], wanted)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_hasn_run_cuts_what_does_not_fit(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file and the same numbers, in pieces: delays, feedback and all."""
    _needs(backend)
    n = 4
    nodes: dict[str, Any] = {"input": nir.Input(np.array([n])), "hidden": _lif(n), "output": nir.Output(np.array([n]))}
    nodes |= {"late": nir.Delay(np.array([0, 1e-3, 5e-3, 2e-3])), "w": nir.Linear(np.eye(n)[::-1] * 0.1)}
    edges = [("input", "late"), ("late", "hidden"), ("hidden", "w"), ("w", "hidden"), ("hidden", "output")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": 1e-3}, type_check=False)
    hasn.save(graph, tmp_path / "net.nir")

    def run(name: str) -> dict[str, Any]:
        arguments = ["run", str(tmp_path / "net.nir"), "--backend", backend, "--steps", "50", "--json"]
        done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    whole = run("whole.npz")
    monkeypatch.setattr(room, "_UNASKED", 0)
    monkeypatch.setattr(room, "free_bytes", lambda: 2500)  # a whole run of 50 steps keeps 50 * (4 * 1 + 4 * 8 * 3)
    monkeypatch.setattr("hasn.cli.pieces._SHARE", 3)
    cut = run("cut.npz")
    assert whole["total_spikes"] > 20
    for key in ("steps", "spikes", "outputs", "total_spikes", "synaptic_operations"):
        assert cut[key] == whole[key], key
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "cut.npz") as other:
        assert sorted(one.files) == sorted(other.files)
        for key in one.files:
            np.testing.assert_array_equal(one[key], other[key])
