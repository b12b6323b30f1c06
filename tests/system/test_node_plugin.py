"""A neuron that another package brings: everything that hasn does with its own, it does with this one.

``TwoCompartment``: a dendrite takes the input and drives a soma, which spikes and takes charge from both:

    tau_d dd/dt = -d + R I        tau dv/dt = -v + d        z = 1[v > v_threshold];  v <- v_reset, d <- d - drop
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.packages import install, judged, python

PACKAGE = '''
"""A neuron of two compartments."""

from dataclasses import dataclass

import nir
import numpy as np

from hasn.nodes.kind import finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, element_types, floats, time_constant
from hasn.program.discretise import decay
from hasn.program.model import ONE, Row


@dataclass(eq=False)
class TwoCompartment(nir.NIRNode):
    tau: np.ndarray
    tau_dendrite: np.ndarray
    r: np.ndarray
    drop: np.ndarray
    v_threshold: np.ndarray
    v_reset: np.ndarray

    def __post_init__(self):
        element_types(self)


class Kind(NeuronKind):
    type = TwoCompartment
    parameters = (time_constant("tau"), time_constant("tau_dendrite"), RESISTANCE, finite("drop", "V"), *FIRES)
    taus = ("tau_dendrite", "tau")

    def rows(self, node, dt, method, xp=np):
        keep_d, fill_d = decay(floats(node.tau_dendrite, xp), dt, method, xp)
        keep, fill = decay(floats(node.tau, xp), dt, method, xp)
        return Row("d", (("d", keep_d),), fill_d * floats(node.r, xp)), Row("v", (("v", keep), ("d", fill)))

    def firing(self, node, reset, xp=np):
        condition, resets = super().firing(node, reset, xp)
        return condition, (*resets, Row("d", (("d", ONE),), bias=-floats(node.drop, xp)))


KINDS = (Kind(),)
'''

CASES = '''
"""What it means, by its equations alone, and cases of it: for the conformance suite."""

import numpy as np
from compartments import TwoCompartment

from hasn.testing.cases.case import Case
from hasn.testing.graphs import chain
from hasn.testing.reference import fire
from hasn.testing.suite import Suite


class Meaning:
    def __init__(self, node, shape, dt, method, reset):
        self.node, self.reset = node, node.metadata.get("reset", reset)
        share = (lambda tau: dt / tau) if method == "euler" else (lambda tau: 1 - np.exp(-dt / tau))
        self.soma, self.dendrite = share(node.tau), share(node.tau_dendrite)
        self.v, self.d = np.zeros((2, *shape))

    def __call__(self, x, log):
        node = self.node
        self.d = self.d + self.dendrite * (node.r * x - self.d)
        self.v = self.v + self.soma * (self.d - self.v)
        z = fire(self.v, node.v_threshold, log)
        off = self.v - node.v_reset if self.reset == "zero" else node.v_threshold - node.v_reset
        self.v, self.d = self.v - z * off, self.d - z * node.drop
        log["voltage"].append(self.v)
        return z


def neuron(draw, *shape):
    ranges = {"tau": (4e-3, 9e-3), "tau_dendrite": (3e-3, 8e-3), "r": (1.5, 3.0), "drop": (0.1, 0.4),
              "v_threshold": (0.4, 0.7), "v_reset": (-0.1, 0.1)}
    return TwoCompartment(**{name: draw.between(*ends, shape) for name, ends in ranges.items()})


def net(draw):
    return chain(draw.affine(5, 6), neuron(draw, 5), draw.linear(3, 5), given=(6,), result=(3,))


SUITE = Suite(
    {f"TwoCompartment-{method}-{reset}": Case(f"TwoCompartment-{method}-{reset}", net, method, reset, batch=2)
     for method in ("euler", "exact") for reset in ("zero", "subtract")},
    {TwoCompartment: Meaning},
)
'''

USE = """
import copy, json, sys
import numpy as np
import torch
import hasn
from compartments import KINDS
from compartment_cases import net
from hasn.program.draw import program_text
from hasn.testing.graphs import Draw

draw, found = Draw(3), {}
graph = net(draw)
graph.metadata["dt"] = 1e-3
found["clean"] = [str(finding) for finding in hasn.check(graph)]
bad = copy.deepcopy(graph)
bad.nodes["n2"].tau_dendrite[1] = -1.0
found["bad"] = [str(finding) for finding in hasn.check(bad)]
short = [str(finding) for finding in hasn.check(graph, dt=0.02)]
found["short"] = short
scalar = copy.deepcopy(graph)
for parameter in KINDS[0].parameters:
    setattr(scalar.nodes["n2"], parameter.name, getattr(scalar.nodes["n2"], parameter.name)[:1])
mended = hasn.repair(scalar)
found["mended"] = [np.shape(mended.graph.nodes["n2"].drop), [str(f) for f in hasn.check(mended.graph)]]
hasn.save(graph, "net.nir")
again = hasn.load("net.nir")
found["kind"] = type(again.nodes["n2"]).__name__
found["same"] = bool(np.array_equal(again.nodes["n2"].drop, graph.nodes["n2"].drop))
found["text"] = program_text(hasn.lower(again))
rng = np.random.default_rng(1)
x = (rng.random((40, 8, 6)) < 0.4).astype(float)
compared = hasn.compare(again, x, backends=sys.argv[1].split(","))
found["ok"], found["differences"] = compared.ok, [sum(v.differing for v in compared.verdicts.values())]
labels = rng.integers(0, 3, 8)


def shown(outputs, labels):
    # Sums of what the neurons sent: no loss by name reads them.
    return torch.nn.functional.cross_entropy(outputs.sum(0), labels)


before = np.array(again.nodes["n1"].weight)
trained = hasn.train(again, (x, labels), epochs=2, loss=shown, learn=dict.fromkeys(["tau", "threshold"], "neuron"))
moved = trained.graph.nodes
found["moved"] = [float(abs(moved["n1"].weight - before).max()),
                  *(float(abs(getattr(moved["n2"], name) - getattr(graph.nodes["n2"], name)).max())
                    for name in ("tau", "tau_dendrite", "v_threshold"))]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that package in it."""
    points = "[hasn.nodes]\ncompartments = compartments:KINDS\n[hasn.testing]\ncompartments = compartment_cases:SUITE\n"
    modules = {"compartments": PACKAGE, "compartment_cases": CASES}
    return install(tmp_path_factory.mktemp("site"), "compartments", modules, points)


def test_it_is_checked_repaired_saved_drawn_compared_and_trained(site: Path) -> None:
    done = python(site, "-c", USE, "snntorch,brian2")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["clean"] == []
    assert "node 'n2' tau_dendrite: has a value with no meaning; got -1.0 at index (1,)" in found["bad"][0]
    assert any("is under dt/2, so an Euler step diverges" in line for line in found["short"])
    assert found["mended"] == [[5], []]
    assert (found["kind"], found["same"]) == ("TwoCompartment", True)
    assert "d ← d − [" in found["text"].replace("\n", " ")
    assert (found["ok"], found["differences"]) == (True, [0])
    assert min(found["moved"]) > 0


def test_it_passes_the_conformance_suite(site: Path) -> None:
    names = {f"TwoCompartment-{method}-{reset}" for method in ("euler", "exact") for reset in ("zero", "subtract")}
    found = judged(site, "TwoCompartment")
    assert {"snntorch", "brian2"} <= set(found)
    assert all(passed == names for passed in found.values())
