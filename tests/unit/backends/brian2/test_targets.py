"""NumPy, Cython and C++ standalone do the same arithmetic in the same order: the same numbers, bit for bit."""

import shutil

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.backends.brian2.formulas import DT, graph, lif, node

brian2 = pytest.importorskip("brian2", reason="Brian2 is not installed (pip install 'hasn[brian2]')")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) here")

T = 50


def network():
    """Small, for each piece of code is compiled: a recurrent CubaLIF with delays, and a bias on the way back."""
    rng = np.random.default_rng(11)
    n = 4
    nodes = {
        "in": n,
        "n": node("CubaLIF", n, rng),
        "d": nir.Delay(DT * np.array([0, 3, 1, 2])),
        "w": nir.Affine(rng.normal(0, 2, (n, n)), rng.normal(0.3, 0.3, n)),
        "out": n,
    }
    return graph(nodes, [("in", "n"), ("n", "d"), ("d", "w"), ("w", "n"), ("n", "out")]), rng.normal(0.5, 2, (T, 3, n))


def run(target, **options):
    made, x = network()
    return hasn.compile(made, "brian2", dt=DT, method="exact", reset="subtract", target=target, **options).run(
        x, record=("spikes", "voltages")
    )


def agree(one, other):
    assert one.counts.spikes["n"] > 50
    np.testing.assert_array_equal(one.spikes["n"], other.spikes["n"])
    np.testing.assert_array_equal(one.voltages["n"], other.voltages["n"])


@needs_compiler
@pytest.mark.compiles
def test_cython_is_numpy():
    agree(run("numpy"), run("cython"))


@needs_compiler
@pytest.mark.compiles
def test_standalone_is_numpy(tmp_path):
    before = brian2.get_device()
    agree(run("numpy"), run("cpp_standalone", build_dir=str(tmp_path / "project")))
    assert brian2.get_device() is before
    assert (tmp_path / "project" / "main.cpp").exists()
    text = (tmp_path / "project" / "makefile").read_text()
    assert "-ffp-contract=off" in text
    assert "-ffast-math" not in text


def test_a_broken_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    before = brian2.get_device()
    nodes = {"in": 1, "n": lif(1), "out": 1}
    made = hasn.compile(graph(nodes, [("in", "n"), ("n", "out")]), "brian2", dt=DT, target="cpp_standalone")
    with pytest.raises(UnsupportedError, match="target='numpy'"):
        made.run(np.ones((3, 1)))
    assert brian2.get_device() is before
