"""A neuron's step as NIR nodes: run by hasn, they give the tool's recurrence, written out here."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.update import Piece, Update, piece_of
from hasn.errors import UnsupportedError

DT = 5e-3
X = np.random.default_rng(2).uniform(0, 1, (80, 2, 3))
KEEP, ALPHA = np.array([0.5, 0.75, 0.0]), np.array([0.25, 0.5, 0.625])
GAIN, FED = np.array([1.0, 0.5, 2.0]), np.array([2.0, 1.0, 0.25])
ONE = np.ones(3)


def run(piece: Piece) -> Any:
    """What the piece gives, behind an Input and before an Output."""
    nodes = {"in": nir.Input(np.array([3])), **piece.nodes, "out": nir.Output(np.array([3]))}
    edges = [*(("in", inlet) for inlet in piece.inlet), *piece.edges, (piece.spikes, "out")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    return hasn.compile(graph).run(X).outputs["out"]


def by_hand(keep: Any, gain: Any, alpha: Any = None, fed: Any = ONE, threshold: Any = None) -> Any:
    v, c, found = np.zeros((2, 3)), np.zeros((2, 3)), []
    for x in X:
        c = x if alpha is None else alpha * c + fed * x
        v = keep * v + gain * c
        found.append(v if threshold is None else v > threshold)
        v = v if threshold is None else np.where(v > threshold, 0.25, v)
    return np.array(found)


@pytest.mark.parametrize("keep", [KEEP, ONE], ids=["leak", "no leak"])
@pytest.mark.parametrize("alpha", [None, ALPHA, ONE], ids=["no current", "current", "kept current"])
@pytest.mark.parametrize("fed", [None, FED], ids=["1", "fed"])
@pytest.mark.parametrize("fires", [False, True], ids=["v", "z"])
def test_every_kind_of_step(keep: Any, alpha: Any, fed: Any, fires: bool) -> None:
    threshold = np.array([2.0, 1.5, 1.0])
    said = {"v_threshold": threshold, "v_reset": np.full(3, 0.25)} if fires else {}
    piece = piece_of(Update(keep, GAIN, alpha, fed, said, {"reset": "zero"}), "n", DT)
    wanted = by_hand(keep, GAIN, alpha, ONE if fed is None else fed, threshold if fires else None)
    assert not fires or 0 < wanted.mean() < 1
    if fires:
        np.testing.assert_array_equal(run(piece), wanted)
    else:
        np.testing.assert_allclose(run(piece), wanted, rtol=1e-9)
    two = alpha is not None and (keep is ONE or alpha is ONE)
    assert list(piece.nodes) == (["n.syn", "n"] if two else ["n"])
    assert piece.nodes["n"].metadata == {"reset": "zero"}
    if two:
        assert not piece.nodes["n.syn"].metadata


def test_metadata_are_a_copy() -> None:
    given = {"reset": "zero"}
    piece_of(Update(KEEP, GAIN, ALPHA, metadata=given), "n", DT).nodes["n"].metadata["mine"] = 1
    assert given == {"reset": "zero"}


@pytest.mark.parametrize(
    ("update", "parameter", "got"),
    [
        (Update(np.array([1.0, 0.5, 1.0]), GAIN), "beta", "2 of 3 at 1"),
        (Update(KEEP, GAIN, np.array([1.0, 0.5, 0.5])), "alpha", "1 of 3 at 1"),
        (Update(KEEP, GAIN, np.array([1.0, 0.5, 0.5]), names=("tau_mem", "tau_syn")), "tau_syn", "1 of 3 at 1"),
        (Update(np.array([1.0, 0.5, 0.5]), GAIN, ALPHA, names=("tau_mem", "tau_syn")), "tau_mem", "1 of 3 at 1"),
    ],
)
def test_some_that_leak_and_some_that_do_not(update: Update, parameter: str, got: str) -> None:
    with pytest.raises(UnsupportedError, match="which are two NIR nodes") as error:
        piece_of(update, "n", DT)
    assert (error.value.node, error.value.parameter, error.value.got) == ("n", parameter, got)
    assert (error.value.wanted, error.value.way_out) == (
        "all at 1, or all under 1", "Clamp it below 1, or split the layer.")  # fmt: skip
