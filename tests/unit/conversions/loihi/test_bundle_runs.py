"""The exported folder by itself, in Lava's own Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hasn.conversions.loihi.export.bundle import export_bundle
from hasn.testing.integers import interpret
from tests.unit.conversions.loihi.bundles import needs_lava, network, rewrite, run, signed

pytestmark = needs_lava
X = (np.random.default_rng(2).random((15, 1, 2, 3)) < 0.5).astype(np.int64)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "chip"
    export_bundle(network(), folder, inputs=X)
    return folder


@pytest.fixture
def chip(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(exported, tmp_path / "chip")
    return tmp_path / "chip"


def test_the_self_test_passes_and_says_what_it_compared(exported: Path) -> None:
    answer = run(exported, "--self-test")
    assert answer.code == 0
    assert "hidden: spikes of 4 neurons, 1 sample(s), 15 steps," in answer.out
    assert "readout: voltages of 2 neurons" in answer.out
    assert answer.out.count("identical") == 2
    assert "self-test passed in Lava's bit-accurate simulation (no hardware)" in answer.out


def test_a_flipped_weight_fails_the_self_test_even_with_its_hash(chip: Path) -> None:
    with np.load(chip / "network.npz") as stored:
        key = next(key for key in stored.files if key.endswith("/weights") and stored[key].shape == (2, 6))
        weights = stored[key]
    weights[np.unravel_index(np.abs(weights).argmax(), weights.shape)] *= -1
    rewrite(chip, "network.npz", **{key: weights})
    answer = run(chip, "--self-test")
    assert answer.code == 1
    assert "network: CHANGED; its weights or registers are not those that expected.npz was made with" in answer.out
    assert "DIFFER, first at step" in answer.out
    assert "self-test FAILED" in answer.out


def newer(chip: Path) -> None:
    signed(chip, format=99)


def said_otherwise(chip: Path) -> None:
    """Another time step, which no array and no hash would show."""
    text = (chip / "manifest.json").read_text()
    assert '"dt": 0.001' in text
    (chip / "manifest.json").write_text(text.replace('"dt": 0.001', '"dt": 0.002'))


def appended(name: str, text: str) -> Callable[[Path], object]:
    def damage(chip: Path) -> None:
        with (chip / name).open("a") as file:
            file.write(text)

    return damage


def changed(chip: Path) -> None:
    with (chip / "expected.npz").open("ab") as file:
        file.write(b" ")


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (lambda chip: (chip / "network.npz").unlink(), "network.npz is missing from"),
    (lambda chip: (chip / "expected.npz").unlink(), "expected.npz is missing from"),
    (lambda chip: (chip / "manifest.json").unlink(), "manifest.json is missing from"),
    (lambda chip: (chip / "manifest.json").write_text("{"), "the bundle cannot be read: JSONDecodeError"),
    (lambda chip: (chip / "manifest.json").write_text("[]"), "the bundle cannot be read"),
    (changed, "expected.npz was changed after the export"),
    (newer, "bundle format 99; a newer hasn wrote it"),
    (said_otherwise, "manifest.json was changed after the export"),
    # Python has not read it when its hash is compared.
    (appended("lava_network.py", "\ndef broken(:\n"), "lava_network.py was changed after the export"),
    (appended("lava_network.py", "\n# a remark\n"), "lava_network.py was changed after the export"),
    (appended("run.py", "\n# a remark\n"), "run.py was changed after the export"),
    (appended("README.md", "\nMore.\n"), "README.md was changed after the export"),
    (lambda chip: (chip / "lava_network.py").unlink(), "lava_network.py is missing from"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE, ids=[f"{words[:30]}-{i}" for i, (_, words) in enumerate(DAMAGE)])
def test_a_damaged_folder_is_named(chip: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(chip)
    answer = run(chip, "--self-test")
    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err


def test_hardware_is_refused_with_what_is_missing(exported: Path) -> None:
    for arguments in (["--hardware"], ["--self-test", "--hardware"], ["--hardware", "expected.npz", "--out", "o.npz"]):
        answer = run(exported, *arguments)
        assert answer.code == 2
        assert "Intel's extension lava-loihi is not installed here" in answer.err
        assert "lava.proc.embedded_io.spike" in answer.err


def test_simulate_gives_what_the_network_means(exported: Path, tmp_path: Path) -> None:
    x = (np.random.default_rng(3).random((12, 2, 3)) < 0.6).astype(np.int64)
    np.savez(tmp_path / "in.npz", input=x)
    answer = run(exported, "--simulate", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert (answer.code, answer.out.split(":")[0]) == (0, "simulated")
    traces = interpret(network().graph, {"input": x[:, None]})
    assert traces.spikes["hidden"].any()
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == {"spikes/hidden", "voltages/readout", "outputs/output", "outputs/spikes"}
        np.testing.assert_array_equal(found["spikes/hidden"], traces.spikes["hidden"][:, 0])
        np.testing.assert_array_equal(found["outputs/output"], traces.v["readout"][:, 0])


def test_bad_data_for_simulate_is_named(exported: Path, tmp_path: Path) -> None:
    good = np.ones((4, 2, 3))
    cases = {
        "no array for Input 'input'": {"a": good, "b": good},
        "shape (4, 3); wanted (T, 2, 3) or (T, batch, 2, 3)": {"input": good[:, 0]},
        "not of integers": {"input": good * 0.5},
        "takes spikes, 0 or 1 (it was exported so); got values up to 2": {"input": good * 2},
        "has shape (0, 2, 3)": {"input": good[:0]},
    }
    for words, arrays in cases.items():
        np.savez(tmp_path / "in.npz", **arrays)
        answer = run(exported, "--simulate", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
        assert answer.code == 2
        assert words in answer.err
    (tmp_path / "in.npz").write_bytes(b"PK nonsense")
    for path, to, words in (
        ("in.npz", "out.npz", "no .npz or .npy file"),
        ("none.npz", "out.npz", "there is no file"),
        ("in.npz", "in.npz", "is there already and is kept"),
        ("in.npz", "no/out.npz", "there is no folder"),
    ):
        answer = run(exported, "--simulate", tmp_path / path, "--out", tmp_path / to)
        assert (answer.code, words in answer.err) == (2, True), answer.err
    assert "wanted: --self-test, or" in run(exported).err


#: Stands in for Intel's extension: adapters with its names and ports; the one out of the chip takes a step.
ADAPTERS = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class PyToNxAdapter(AbstractProcess):
    def __init__(self, shape, num_message_bits=0):
        super().__init__(shape=shape)
        self.inp, self.out = InPort(shape), OutPort(shape)


class NxToPyAdapter(PyToNxAdapter):
    pass


class Ports(PyLoihiProcessModel):
    inp = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    held = None


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
class In(Ports):
    def run_spk(self):
        self.out.send(self.inp.recv())


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
class Out(Ports):
    def run_spk(self):
        now = self.inp.recv()
        self.out.send(np.zeros_like(now) if self.held is None else self.held)
        self.held = now
"""


STUB = {
    "proc/embedded_io/spike.py": ADAPTERS,
    "utils/loihi2_profiler.py": "",
    "magma/core/model/c/model.py": "class CLoihiProcessModel: pass\nclass AbstractCProcessModel: pass",
    "magma/core/model/nc/model.py": "class AbstractNcProcessModel: pass",
}


def test_the_hardware_s_wiring_with_adapters_that_stand_in_for_intel_s(exported: Path, tmp_path: Path) -> None:
    """Everything but the chip: source, adapters, Loihi2HwCfg (which falls back to the CPU), sinks, lag."""
    for name, text in STUB.items():
        file = tmp_path / "stub" / "lava" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    answer = run(exported, "--self-test", "--hardware", "--lag", 1, path=tmp_path / "stub")
    assert answer.code == 0, answer.err
    assert "hidden: spikes of 4 neurons" in answer.out
    assert "voltages" not in answer.out
    late = run(exported, "--self-test", "--hardware", path=tmp_path / "stub")
    assert (late.code, "DIFFER" in late.out) == (1, True)
