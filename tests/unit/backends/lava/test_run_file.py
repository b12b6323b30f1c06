"""An exported folder's run.py in this process, on Lava's double: what it takes, gives, compares and refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.backends.lava.worker import lava_network
from hasn.backends.lava.worker import run as script
from hasn.backends.lava.worker.lava_network import Bundle, Refused
from hasn.backends.lava.worker.run import checked
from hasn.conversions.loihi.export.bundle import export_bundle
from hasn.testing.integers import interpret
from tests.graphs import inp, out
from tests.unit.backends.lava import double
from tests.unit.conversions.loihi.bundles import Answer, chip_graph, network, rewrite, signed

X = (np.random.default_rng(2).random((15, 2, 2, 3)) < 0.5).astype(np.int64)
Run = Callable[..., Answer]


def two_inputs() -> Any:
    """The chip's graph with a second, graded Input that is shown as it is, and an Output of nothing."""
    plain = chip_graph()
    nodes = {
        **plain.nodes, "level": inp(2), "w3": nir.Linear(np.array([[4.0, -2.0], [2.0, 6.0]])), "same": out(2),
        "none": out(3),
    }  # fmt: skip
    edges = [*plain.edges, ("level", "w3"), ("w3", "readout"), ("level", "same")]
    return network(graph=nir.NIRGraph(nodes, edges, metadata=plain.metadata, type_check=False))


LEVEL = np.random.default_rng(3).integers(-9, 10, (15, 2, 2))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:  # the plain interpreter answers: nothing waits for torch
        patch.setattr("hasn.conversions.loihi.export.bundle.expected._torch_runs", lambda: False)
        export_bundle(network(), folder / "plain", inputs=X)
        export_bundle(two_inputs(), folder / "two", inputs={"input": X, "level": LEVEL})
    return {name: folder / name for name in ("plain", "two")}


@pytest.fixture
def chip(exports: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(exports["plain"], tmp_path / "chip")
    return tmp_path / "chip"


@pytest.fixture
def two(exports: dict[str, Path]) -> Path:
    return exports["two"]


@pytest.fixture
def lava() -> Iterator[None]:
    with double.lava():
        yield


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``python run.py ...`` of a folder."""

    def called(folder: Path, *arguments: object) -> Answer:
        monkeypatch.setattr(script, "HERE", folder)
        code = script.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return called


def expected(net: Any, **inputs: Any) -> Any:
    """What the network means."""
    return interpret(net.graph, inputs, dt=net.dt, timing=net.timing)


# --- self-test


@pytest.mark.usefixtures("lava")
def test_the_self_test_says_what_it_compared(chip: Path, run: Run) -> None:
    answer = run(chip, "--self-test")
    spikes = int(expected(network(), input=X).spikes["hidden"].sum())
    assert spikes > 20
    assert answer.out.splitlines() == [
        f"hidden: spikes of 4 neurons, 2 sample(s), 15 steps, {spikes} spikes: identical",
        "readout: voltages of 2 neurons, 2 sample(s), 15 steps: identical",
        "self-test passed in Lava's bit-accurate simulation (no hardware)",
    ]
    assert answer.code == 0
    assert double.RUNNING == []
    assert answer.err.splitlines() == ["sample 1 of 2, 15 steps", "sample 2 of 2, 15 steps"]


@pytest.mark.usefixtures("lava")
def test_a_test_of_zeros_is_none(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs of zeros, answers of zeros: identical, which shows nothing."""
    monkeypatch.setattr("hasn.conversions.loihi.export.bundle.expected._torch_runs", lambda: False)
    made = export_bundle(network(graph=_silent()), tmp_path / "chip", inputs=0 * X)
    assert not made.tested
    answer = run(tmp_path / "chip", "--self-test")
    assert answer.code == 3
    assert "self-test: nothing was compared in Lava's bit-accurate simulation" in answer.out
    assert "passed" not in answer.out


def _silent() -> nir.NIRGraph:
    """The chip's graph without biases and initial voltages."""
    graph = chip_graph()
    for node in graph.nodes.values():
        if hasattr(node, "bias"):
            node.bias[:] = 0
        if hasattr(node, "v_leak"):
            node.v_leak[:] = 0
        node.metadata.pop("v_init", None)
    return graph


@pytest.mark.usefixtures("lava")
def test_the_first_difference_is_named(chip: Path, run: Run) -> None:
    with np.load(chip / "expected.npz") as stored:
        spikes, voltages = stored["spikes/hidden"].copy(), stored["voltages/readout"].copy()
    was = int(voltages[4, 1, 1])
    voltages[4, 1, 1] += 7
    voltages[9, 0, 0] += 1
    rewrite(chip, "expected.npz", **{"voltages/readout": voltages})
    answer = run(chip, "--self-test")
    assert f"2 DIFFER, first at step 4, sample 1, neuron 1: expected {was + 7}, got {was}" in answer.out
    assert answer.out.endswith("self-test FAILED in Lava's bit-accurate simulation (no hardware)\n")
    assert answer.code == 1
    spikes[0, 0, 0] = not spikes[0, 0, 0]
    rewrite(chip, "expected.npz", **{"voltages/readout": voltages, "spikes/hidden": spikes})
    assert "1 DIFFER, first at step 0, sample 0, neuron 0" in run(chip, "--self-test").out


@pytest.mark.usefixtures("lava")
def test_another_network_is_noticed_though_it_spikes_alike(chip: Path, run: Run) -> None:
    with np.load(chip / "network.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    key = next(key for key, array in arrays.items() if key.endswith("/v") and not array.any())
    rewrite(chip, "network.npz", **{key: arrays[key].astype(np.int64)})
    answer = run(chip, "--self-test")
    assert answer.out.startswith("network: CHANGED; its weights or registers are not those")
    assert answer.out.count("identical") == 2
    assert answer.code == 1


def test_the_digest_is_of_every_register_weight_and_wire(chip: Path) -> None:
    found = {Bundle(chip).digest()}
    for change in (
        lambda b: b.manifest["cells"][0].__setitem__("du", 3),
        lambda b: b.manifest["wires"].pop(),
        lambda b: b.manifest["inputs"]["input"].__setitem__("shift", 9),
        lambda b: b.manifest["populations"]["hidden"].__setitem__("shift", 9),
        lambda b: b.manifest["outputs"].pop("spikes"),
        lambda b: b.arrays["p0g0"]["v"].__setitem__(0, 5),
        lambda b: b.arrays["p0g0"].__setitem__("v", b.arrays["p0g0"]["v"].astype(np.int64)),
        lambda b: b.arrays["p0g0"].__setitem__("v", b.arrays["p0g0"]["v"].reshape(1, -1)),
        lambda b: b.arrays["p0g0"].__setitem__("w", b.arrays["p0g0"].pop("v")),
        lambda b: b.arrays.__setitem__("p9", b.arrays.pop("p0g0")),
    ):
        bundle = Bundle(chip)
        change(bundle)
        found.add(bundle.digest())
    assert len(found) == 11
    bundle = Bundle(chip)
    bundle.arrays = dict(reversed([(c, dict(reversed(a.items()))) for c, a in bundle.arrays.items()]))
    bundle.arrays["p0g0"]["v"] = np.asfortranarray(bundle.arrays["p0g0"]["v"])
    assert bundle.digest() in found
    bundle.manifest["dt"] = 7  # and of nothing else
    assert bundle.digest() == Bundle(chip).digest()


# --- what is there


def newer(chip: Path) -> None:
    signed(chip, format=3)


def older(chip: Path) -> None:
    signed(chip, format=1)


def changed(chip: Path) -> None:
    with (chip / "expected.npz").open("ab") as file:
        file.write(b" ")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda chip: (chip / "network.npz").unlink(), "network.npz is missing from"),
        (lambda chip: (chip / "README.md").unlink(), "README.md is missing from"),
        (lambda chip: (chip / "manifest.json").unlink(), "manifest.json is missing from"),
        (lambda chip: (chip / "manifest.json").write_text("{"), "the bundle cannot be read: JSONDecodeError"),
        (changed, "expected.npz was changed after the export"),
        (newer, "bundle format 3; a newer hasn wrote it; this reads 2"),
        (older, "bundle format 1; this reads 2"),
    ],
)
def test_a_damaged_folder_is_named(chip: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(chip)
    with pytest.raises(Refused) as error:
        checked(chip)
    assert words in str(error.value)


def test_no_lava_is_said_with_the_way_to_it(chip: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_importable", lambda name: False)
    for arguments in (["--self-test"], ["--hardware"]):
        answer = run(chip, *arguments)
        assert answer.code == 2
        assert answer.err.startswith("error: lava-nc is not installed in this Python")
        assert "pip install lava-nc==0.10.0" in answer.err


def test_what_can_be_imported() -> None:
    assert script._importable("json.decoder")
    assert not script._importable("no_such_package.at.all")
    assert not script._importable("json.no_such_module")


@pytest.mark.usefixtures("lava")
def test_a_chip_that_is_not_there_is_said(chip: Path, run: Run) -> None:
    for arguments in (["--hardware"], ["--self-test", "--hardware"], ["--hardware", "in.npz", "--out", "o.npz"]):
        answer = run(chip, *arguments)
        assert answer.code == 2
        assert "Intel's extension lava-loihi is not installed here" in answer.err


# --- on a chip


def test_on_a_chip_spikes_come_by_adapters_and_late(chip: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with double.lava(chip=True) as modules:
        answer = run(chip, "--self-test", "--hardware", "--lag", 1)
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "self-test passed on the chip")
        assert "hidden: spikes" in answer.out
        assert "voltages" not in answer.out
        assert run(chip, "--self-test", "--hardware").code == 1
        signed(chip, target="loihi1")
        answer = run(chip, "--self-test", "--hardware")
        assert (answer.code, "was exported for Loihi 1" in answer.err) == (2, True)
        assert run(chip, "--self-test").code == 0
        monkeypatch.setattr(modules["lava.utils.loihi"], "is_installed", lambda: False)
        answer = run(chip, "--self-test", "--hardware")
        assert (answer.code, "is there in part only" in answer.err) == (2, True)


def test_graded_inputs_keep_their_values_on_a_chip(two: Path, run: Run) -> None:
    """What they reach is the readout, whose voltage no adapter brings: so its spikes are looked at here."""
    with double.lava(chip=True):
        assert run(two, "--self-test", "--hardware", "--lag", 1).code == 0
        bundle = Bundle(two)
        bundle.manifest["populations"]["readout"]["spiking"] = True
        for cell in bundle.manifest["populations"]["readout"]["cells"]:
            bundle.cells[cell]["vth"] = 3000
        inputs = {"input": X[:, 0].reshape(15, 6), "level": 40 * LEVEL[:, 0]}
        simulated, real = (lava_network.play(bundle, inputs, 15, hardware, hardware) for hardware in (False, True))
        bits = {adapter.inp.shape: adapter.bits for adapter in double.Adapter.made if type(adapter) is double.Adapter}
        assert bits == {(6,): 0, (2,): 24}
    assert simulated.keys() == real.keys() == {"spikes/hidden", "spikes/readout"}
    assert simulated["spikes/readout"].any()
    np.testing.assert_array_equal(simulated["spikes/readout"], real["spikes/readout"])


def test_what_a_chip_cannot_run_is_refused_and_what_the_simulation_cannot_is_an_error(
    chip: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(script, "run_all", broken)
    with double.lava(chip=True):
        answer = run(chip, "--self-test", "--hardware")
        assert (answer.code, answer.err) == (2, "error: Lava could not run it on a chip: ZeroDivisionError: a slip\n")
        with pytest.raises(ZeroDivisionError):
            run(chip, "--self-test")


# --- a file in, a file out


@pytest.mark.usefixtures("lava")
def test_simulate_gives_spikes_voltages_and_outputs(two: Path, run: Run, tmp_path: Path) -> None:
    x, level = X[:12], 300 * LEVEL[:12]
    np.savez(tmp_path / "in.npz", **{"inputs/input": x, "level": level})
    answer = run(two, "--simulate", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert (answer.code, answer.out) == (0, f"simulated: wrote {tmp_path / 'out.npz'}\n")
    traces = expected(two_inputs(), input=x, level=level)
    assert traces.spikes["hidden"].any()
    assert np.ptp(traces.v["readout"]) > 1000
    with np.load(tmp_path / "out.npz") as found:
        assert {name: array.dtype.kind for name, array in found.items()} == {
            "spikes/hidden": "b", "voltages/readout": "i", "outputs/output": "i", "outputs/spikes": "i",
            "outputs/same": "i",
        }  # fmt: skip
        np.testing.assert_array_equal(found["spikes/hidden"], traces.spikes["hidden"])
        np.testing.assert_array_equal(found["outputs/spikes"], traces.spikes["hidden"])
        np.testing.assert_array_equal(found["outputs/output"], traces.v["readout"])
        np.testing.assert_array_equal(found["outputs/same"], level)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.npz"]


@pytest.mark.usefixtures("lava")
def test_one_sample_and_one_array_need_no_axis_and_no_name(chip: Path, run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", X[:12, 0].astype(float))
    assert run(chip, "--simulate", tmp_path / "in.npy", "--out", tmp_path / "out.npz").code == 0
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(
            found["outputs/spikes"], expected(network(), input=X[:12, :1]).spikes["hidden"][:, 0]
        )


@pytest.mark.usefixtures("lava")
def test_a_file_that_is_there_is_kept_and_a_folder_that_is_not_is_named(chip: Path, run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", X)
    for path, to, words in (
        ("in.npy", "in.npy", "in.npy is there already and is kept; name another file"),
        ("in.npy", "no/out.npz", "there is no folder"),
        ("none.npz", "out.npz", "there is no file"),
    ):
        answer = run(chip, "--simulate", tmp_path / path, "--out", tmp_path / to)
        assert (answer.code, words in answer.err) == (2, True), answer.err
    np.testing.assert_array_equal(np.load(tmp_path / "in.npy"), X)


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--simulate", "in.npy"], ["--out", "o.npz"], ["--simulate", "in.npy", "--out", "o.npz", "--lag", "-1"],
        ["--hardware", "--out", "o.npz"], ["--hardware", "in.npy"],
        ["--simulate", "in.npy", "--hardware", "in.npy", "--out", "o.npz"],
    ],
)  # fmt: skip
def test_what_is_not_to_be_done_is_said(
    chip: Path, run: Run, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "in.npy", X)
    with double.lava(chip=True):
        answer = run(chip, *arguments)
    assert answer.code == 2
    assert answer.err.startswith("error: wanted: --self-test, or --simulate INPUT --out FILE")
    assert not (tmp_path / "o.npz").exists()


def test_help_says_what_each_option_is(chip: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(chip, "--help")
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "Runs the network of this folder on Lava", "python run.py --simulate INPUT.npz --out FILE.npz",
        "--self-test compare with expected.npz, bit for bit",
        "--simulate INPUT run this .npz on Lava's bit-accurate models",
        "--hardware [INPUT] run it on a chip", "--out FILE where to write what came out (.npz)",
        "--lag LAG hardware: steps that the spike adapters take together",
    ):  # fmt: skip
        assert words in said


# --- inputs


ENTRY = {"shape": [2, 3], "graded": False, "limit": 1, "scale": 1.0, "size": 6}
GRADED = {**ENTRY, "graded": True, "limit": 50, "scale": 2.5}


def read(folder: Path, entries: dict[str, Any], **arrays: Any) -> Any:
    np.savez(folder / "in.npz", **arrays)
    bundle: Any = SimpleNamespace(manifest={"inputs": entries})
    return script.read_inputs(bundle, folder / "in.npz")


def test_inputs_are_read_with_and_without_a_batch(tmp_path: Path) -> None:
    for x, batched in ((np.ones((4, 2, 3), bool), False), (np.arange(24.0).reshape(4, 1, 2, 3) % 2, True)):
        found, has_batch = read(tmp_path, {"a": ENTRY}, a=x)
        assert (found["a"].shape, found["a"].dtype, has_batch) == ((4, 1, 6), np.int32, batched)
        np.testing.assert_array_equal(found["a"].reshape(4, 2, 3), x.reshape(4, 2, 3))
    found, _ = read(tmp_path, {"a": GRADED, "b": ENTRY}, a=np.full((4, 2, 3), -50), b=np.zeros((4, 2, 3)))
    assert found["a"].min() == found["a"].max() == -50
    found, _ = read(tmp_path, {"a": ENTRY, "b": ENTRY}, b=np.ones((4, 2, 3)), **{"inputs/a": np.zeros((4, 2, 3))})
    assert (found["a"].max(), found["b"].max()) == (0, 1)


ONE = np.ones((4, 2, 3))


@pytest.mark.parametrize(
    ("entries", "arrays", "words"),
    [
        ({"a": ENTRY}, {"b": ONE, "c": ONE}, "no array for Input 'a'; wanted: a"),
        ({"a": ENTRY, "b": ENTRY}, {"c": ONE}, "no array for Input 'a'; wanted: a, b"),
        ({"a": ENTRY, "b": ENTRY}, {"a": ONE}, "no array for Input 'b'"),
        ({"a": ENTRY}, {"a": ONE[0]}, "shape (2, 3); wanted (T, 2, 3) or (T, batch, 2, 3)"),
        ({"a": ENTRY}, {"a": ONE[np.newaxis, np.newaxis]}, "shape (1, 1, 4, 2, 3)"),
        ({"a": ENTRY}, {"a": np.ones((4, 3, 2))}, "shape (4, 3, 2)"),
        ({"a": ENTRY}, {"a": np.ones((0, 2, 3))}, "shape (0, 2, 3)"),
        ({"a": ENTRY}, {"a": np.ones((4, 0, 2, 3))}, "shape (4, 0, 2, 3)"),
        ({"a": ENTRY}, {"a": ONE / 2}, "not of integers; the chip takes spikes 0 and 1, or integers\n"),
        ({"a": GRADED}, {"a": ONE / 2}, "integers: real values times 2.5, rounded"),
        ({"a": GRADED}, {"a": ONE * np.nan}, "not of integers"),
        ({"a": GRADED}, {"a": ONE * np.inf}, "not of integers"),
        ({"a": GRADED}, {"a": ONE * 1j}, "not of integers"),
        ({"a": ENTRY}, {"a": -ONE}, "takes spikes, 0 or 1 (it was exported so); got values up to 1"),
        ({"a": ENTRY}, {"a": 3 * ONE}, "got values up to 3"),
        ({"a": ENTRY}, {"a": np.arange(24).reshape(4, 2, 3) // 8}, "got values up to 2"),
        ({"a": GRADED}, {"a": 51 * ONE}, "has values up to 51; this network holds its sums up to 50"),
        ({"a": GRADED}, {"a": -51 * ONE}, "has values up to 51"),
        ({"a": ENTRY, "b": ENTRY}, {"a": ONE, "b": ONE[:3]}, "different steps or samples: [(3,), (4,)]"),
        ({"a": ENTRY, "b": ENTRY}, {"a": ONE, "b": ONE[:, np.newaxis]}, "different steps or samples"),
    ],
)
def test_inputs_that_do_not_fit_are_named(tmp_path: Path, entries: Any, arrays: Any, words: str) -> None:
    with pytest.raises(Refused) as error:
        read(tmp_path, entries, **arrays)
    assert words in f"{error.value}\n"


def test_what_is_no_file_of_numbers_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.npz").write_bytes(b"PK nonsense")
    bundle: Any = SimpleNamespace(manifest={"inputs": {"a": ENTRY}})
    with pytest.raises(Refused, match=r"in\.npz is no \.npz or \.npy file of numbers"):
        script.read_inputs(bundle, tmp_path / "in.npz")
    np.save(tmp_path / "in.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(Refused, match=r"in\.npy is no \.npz or \.npy file of numbers"):
        script.read_inputs(bundle, tmp_path / "in.npy")


def test_data_that_memory_does_not_hold_are_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    np.save(tmp_path / "in.npy", np.ones((2, 1, 2)))
    monkeypatch.setattr(np, "load", full)
    with pytest.raises(Refused, match=r"in\.npy holds more than this machine has memory for"):
        script.read_inputs(SimpleNamespace(manifest={"inputs": {"a": ENTRY}}), tmp_path / "in.npy")  # type: ignore[arg-type]
