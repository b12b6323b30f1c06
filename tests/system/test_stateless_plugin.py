"""Stateless nodes that another package brings: everything that hasn does with its own, it does with these.

``Lateral`` has a linear map of its own kind; ``Opponent`` means a map that hasn has, and calls a number ``scale`` that
is not that map's:

    Lateral   y[i] = x[i] - strength[i] (x[i - 1] + x[i + 1]) + offset[i], nothing beyond the ends
    Opponent  y = (scale x, -scale x)
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.packages import install, judged, python

PACKAGE = '''
"""Neighbours that inhibit each other, and pairs of opposite sign."""

from dataclasses import dataclass

import nir
import numpy as np
from scipy.sparse import diags_array

from hasn.nodes.kind import NodeKind, finite
from hasn.program.maps import Dense, Map
from hasn.program.model import Connection


@dataclass(frozen=True)
class Neighbours(Map):
    """``y[i] = x[i] - strength[i] (x[i - 1] + x[i + 1]) + bias[i]``."""

    strength: np.ndarray
    bias: np.ndarray

    def matrix(self, shape):
        beside = -self.strength
        return diags_array([beside[1:], np.ones(shape), beside[:-1]], offsets=[-1, 0, 1]).tocsr()


@dataclass(eq=False)
class Lateral(nir.NIRNode):
    strength: np.ndarray
    offset: np.ndarray

    def __post_init__(self):
        self.input_type = {"input": np.array(self.strength.shape)}
        self.output_type = {"output": np.array(self.strength.shape)}


class LateralKind(NodeKind):
    type = Lateral
    parameters = (finite("strength"), finite("offset"))
    elementwise = True

    def input_shape(self, node):
        return np.shape(node.strength)

    def meaning(self, node, place):
        neighbours = Neighbours(np.array(node.strength), np.array(node.offset))
        return Connection(place.name, neighbours, place.result, given=place.given)


@dataclass(eq=False)
class Opponent(nir.NIRNode):
    scale: np.ndarray

    def __post_init__(self):
        size = np.size(self.scale)
        self.input_type, self.output_type = {"input": np.array([size])}, {"output": np.array([2 * size])}


class OpponentKind(NodeKind):
    type = Opponent
    parameters = (finite("scale"),)

    def input_shape(self, node):
        return np.shape(node.scale)

    def output_shape(self, node, shape):
        return (2 * shape[0],)

    def meaning(self, node, place):
        both = np.concatenate([np.diag(node.scale), -np.diag(node.scale)])
        return Connection(place.name, Dense(both), place.result, given=place.given)


KINDS = (LateralKind(), OpponentKind())
'''

CASES = '''
"""What they mean, by their equations alone, and cases of them: for the conformance suite."""

import numpy as np
from lateral import Lateral, Opponent

from hasn.testing.cases.case import Case
from hasn.testing.graphs import chain, graph, inp, out
from hasn.testing.suite import Suite


def lateral(node, x):
    y = x + node.offset
    for i in range(x.shape[1]):
        for other in (i - 1, i + 1):
            if 0 <= other < x.shape[1]:
                y[:, i] -= node.strength[i] * x[:, other]
    return y


def opponent(node, x):
    return np.concatenate([node.scale * x, -node.scale * x], axis=1)


def net(draw):
    """Spikes into either, and what one gives into the other."""
    inhibition = Lateral(draw.between(0.1, 0.5, (5,)), draw.between(-0.1, 0.2, (5,)))
    pairs = Opponent(draw.between(0.5, 2.0, (5,)))
    return chain(draw.affine(5, 6), draw.lif(5), inhibition, pairs, draw.lif(10), draw.linear(3, 10, mean=0.3),
                 given=(6,), result=(3,))


def loop(draw):
    """Neurons that inhibit their neighbours, one step late; both nodes are seen as they are."""
    nodes = {"input": inp(6), "lin": draw.affine(5, 6), "lif": draw.lif(5), "output": out(5),
             "lateral": Lateral(draw.between(0.3, 0.9, (5,)), draw.between(0.0, 0.2, (5,))),
             "opponent": Opponent(draw.between(0.2, 0.6, (5,))), "pairs": out(10), "sums": out(5)}
    return graph(nodes, "input > lin > lif > lateral > lif > output", "lif > opponent > pairs", "lateral > sums")


SUITE = Suite(
    {"Lateral": Case("Lateral", net), "Lateral-exact-batch": Case("Lateral-exact-batch", net, "exact", batch=2),
     "Lateral_in_a_loop": Case("Lateral_in_a_loop", loop, reset="subtract", batch=2),
     "Lateral_in_a_loop-hardware": Case("Lateral_in_a_loop-hardware", loop, timing="hardware")},
    stateless={Lateral: lateral, Opponent: opponent},
)
'''

USE = """
import copy, json, sys
import numpy as np
import torch
import hasn
from lateral_cases import net
from hasn.program.draw import program_text
from hasn.testing.graphs import Draw, chain

draw, found = Draw(3), {}
graph = net(draw)
graph.metadata["dt"] = 1e-3
lateral, opponent = "n3", "n4"
found["clean"] = [str(finding) for finding in hasn.check(graph)]
bad = copy.deepcopy(graph)
bad.nodes[lateral].strength[1] = np.nan
found["bad"] = [str(finding) for finding in hasn.check(bad)]
single = copy.deepcopy(graph)
single.nodes[lateral].strength = single.nodes[lateral].strength[:1]
mended = hasn.repair(single)
found["mended"] = [np.shape(mended.graph.nodes[lateral].strength), [str(f) for f in hasn.check(mended.graph)]]
hasn.save(graph, "net.nir")
again = hasn.load("net.nir")
found["kinds"] = [type(again.nodes[name]).__name__ for name in (lateral, opponent)]
found["same"] = bool(np.array_equal(again.nodes[lateral].offset, graph.nodes[lateral].offset))
found["text"] = program_text(hasn.lower(again))
rng = np.random.default_rng(1)
x = (rng.random((40, 8, 6)) < 0.4).astype(float)
compared = hasn.compare(again, x, backends=sys.argv[1].split(","))
found["ok"], found["differences"] = compared.ok, [sum(v.differing for v in compared.verdicts.values())]
labels = rng.integers(0, 3, 8)


def shown(outputs, labels):
    # Sums of what the neurons sent: no loss by name reads them.
    return torch.nn.functional.cross_entropy(outputs.sum(0), labels)


trained = hasn.train(again, (x, labels), epochs=3, loss=shown, learning_rate=0.02, validation=[(x, labels)])
made, before = trained.graph.nodes, graph.nodes
found["moved"] = [float(abs(made[name].weight - before[name].weight).max()) for name in ("n1", "n6")]
found["kept"] = [bool(np.array_equal(made[lateral].strength, before[lateral].strength)),
                 bool(np.array_equal(made[opponent].scale, before[opponent].scale))]
# What was trained is what the graph says: elsewhere it has the loss that training saw in the end.
run = hasn.compile(trained.graph, "brian2").run(x).outputs["output"]
found["losses"] = [float(shown(torch.as_tensor(run), torch.as_tensor(labels))), trained.history[-1].validation_loss]
# In the chip's integers: a map that is not hasn's own is composed with its neighbours.
lif = {"v_reset": 0.0}
inner = [draw.affine(5, 6), again.nodes[lateral], draw.lif(5, **lif), again.nodes[opponent], draw.lif(10, **lif)]
chip = chain(*inner, given=(6,), result=(10,))
chip.metadata["dt"] = 1e-3
quantised = hasn.quantise(chip, calibrate=x)
wanted = hasn.compile(chip, "snntorch").run(x).spikes
spikes = hasn.compile(quantised, "snntorch", precision="loihi").run(x).spikes
found["chip"] = [[float(train.mean()), float((train != spikes[name]).mean())] for name, train in wanted.items()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that package in it."""
    points = "[hasn.nodes]\nlateral = lateral:KINDS\n[hasn.testing]\nlateral = lateral_cases:SUITE\n"
    modules = {"lateral": PACKAGE, "lateral_cases": CASES}
    return install(tmp_path_factory.mktemp("site"), "lateral", modules, points)


def test_they_are_checked_repaired_saved_drawn_compared_and_kept_while_others_train(site: Path) -> None:
    done = python(site, "-c", USE, "snntorch,brian2")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["clean"] == []
    assert "node 'n3' strength: has a value with no meaning; got nan at index (1,)" in found["bad"][0]
    assert found["mended"] == [[5], []]
    assert (found["kinds"], found["same"]) == (["Lateral", "Opponent"], True)
    assert "Neighbours" in found["text"]
    assert (found["ok"], found["differences"]) == (True, [0])
    assert min(found["moved"]) > 1e-3
    assert found["kept"] == [True, True]
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-4)  # float64 beside float32
    for rate, differing in found["chip"]:
        assert 0.02 < rate < 0.5
        assert differing < rate / 5  # 8 bits: a spike here and there comes a step early or late


def test_they_pass_the_conformance_suite(site: Path) -> None:
    names = {"Lateral", "Lateral-exact-batch", "Lateral_in_a_loop", "Lateral_in_a_loop-hardware"}
    found = judged(site, "Lateral")
    assert {"snntorch", "brian2"} <= set(found)
    assert all(passed == names for passed in found.values())
