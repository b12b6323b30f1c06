"""Which loss an option means, which Outputs it can read, and which labels it takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Loss, count, first_spike, membrane, rate
from hasn.backends.snntorch.training.fits import loss_of
from hasn.backends.snntorch.training.losses import LOSSES, check_labels
from hasn.errors import InputError, OptionError
from hasn.ir.lower import lower
from hasn.program.model import Sink
from tests.unit.backends.snntorch.training.task import lif, net, readout, samples


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda outputs, labels: outputs.sum(0), r"loss: the loss is no scalar tensor; got shape \(48, 3\)"),
        (lambda outputs, labels: 1.0, "loss: the loss is no scalar tensor; got float"),
        (lambda outputs, labels: torch.tensor(1.0), "loss: the loss does not depend on the parameters; got .*<lambda>"),
    ],
)
def test_functions_that_are_no_loss(loss: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(net(), samples(), epochs=1, batch_size=48, loss=loss)


# --- which loss an option means, and what it can read


def test_the_losses_by_name() -> None:
    """The defaults are those of snnTorch's tutorials; a checkpoint tells losses apart by name and numbers."""
    program = lower(net())
    voltages = lower(net(last=readout(3)))
    facts = {
        "rate": ("spikes", True, ()), "count": ("spikes", False, (0.8, 0.2)), "membrane": ("voltages", True, ()),
        "first-spike": ("spikes", True, (1.0,)),
    }  # fmt: skip
    assert set(facts) == set(LOSSES)
    for name, wanted in facts.items():
        loss = loss_of(name, voltages if wanted[0] == "voltages" else program)
        assert loss.name == name
        assert (loss.wants, loss.classes, loss.parameters) == wanted
    assert count(0.5, 0.1).parameters == (0.5, 0.1)
    assert first_spike(3.0).parameters == (3.0,)
    mine = count(0.5)
    assert loss_of(mine, program) is mine


class Steep:
    """A loss that is an object."""

    def __call__(self, outputs: Any, labels: Any) -> Any:
        return outputs.sum()


def test_how_a_function_reads_classes_is_not_known() -> None:
    several = net()
    several.nodes["second"] = nir.Output(np.array([16]))
    several.edges = [*several.edges, ("hidden", "second")]
    one = loss_of(Steep(), lower(net()))
    assert (one.name, one.scores, one.wants, one.classes, one.parameters) == ("Steep", None, None, False, ())
    assert loss_of(Steep(), lower(several)).scores is None
    assert loss_of(torch.nn.functional.mse_loss, lower(net())).name == "mse_loss"
    own = Loss("own", Steep(), None)
    assert loss_of(own, lower(several)) is own


@pytest.mark.parametrize("chosen", ["hinge", 3, None])
def test_no_such_loss(chosen: Any) -> None:
    with pytest.raises(OptionError) as caught:
        loss_of(chosen, lower(net()))
    error = caught.value
    assert (error.parameter, error.got) == ("loss", repr(chosen))
    assert error.wanted == "rate, count, membrane, first-spike, or a function (outputs, labels)"


def ending(*nodes: nir.NIRNode, extra: tuple[tuple[str, str], ...] = ()) -> nir.NIRGraph:
    """12 inputs, a layer, and then these nodes."""
    rng = np.random.default_rng(0)
    named = {"in": nir.Input(np.array([12])), "w": nir.Linear(rng.normal(size=(3, 12)))}
    named |= {f"n{i}": node for i, node in enumerate(nodes)} | {"out": nir.Output(np.array([3]))}
    return nir.NIRGraph(named, [*pairwise(named), *extra], metadata={"dt": 1e-3})


def inner() -> nir.NIRGraph:
    """A graph in a graph, of spiking neurons."""
    nodes = {"input": nir.Input(np.array([3])), "n": lif(3), "output": nir.Output(np.array([3]))}
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


late = nir.Delay(np.full(3, 2e-3))
SHOWN: dict[str, tuple[nir.NIRGraph, str]] = {
    "LIF": (ending(lif(3)), "spikes"),
    "Threshold": (ending(nir.Threshold(np.ones(3))), "spikes"),
    "LIF, delayed twice": (ending(lif(3), late, late), "spikes"),
    "a nested LIF": (ending(inner()), "spikes"),
    "LI": (ending(readout(3)), "voltages"),
    "LI, delayed": (ending(readout(3), late), "voltages"),
    "weights": (ending(lif(3), nir.Linear(np.eye(3))), "sums"),
    "a scale": (ending(lif(3), nir.Scale(np.ones(3))), "sums"),
    "two sources": (ending(lif(3), lif(3), extra=(("n0", "out"),)), "sums"),
    "two sources of a delay": (ending(lif(3), late, extra=(("w", "n1"),)), "sums"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_an_output_shows_decides_which_losses_read_it(case: str) -> None:
    graph, shown = SHOWN[case]
    program = lower(graph)
    way = {"spikes": "rate, count or first-spike", "voltages": "membrane", "sums": "a function"}[shown]
    for name, make in LOSSES.items():
        reads = make().wants
        if reads == shown:
            assert loss_of(name, program).name == name
            assert loss_of(name, program).reads == "output"
            continue
        if name == "membrane" and case in ("LIF", "a nested LIF"):  # neurons that reset have a membrane too
            assert loss_of(name, program).reads == "membrane"
            continue
        with pytest.raises(OptionError) as caught:
            loss_of(name, program)
        error = caught.value
        assert (error.node, error.parameter, error.got, error.wanted) == ("out", "loss", repr(name), way)
        assert f"reads {reads}, and this Output shows {shown}" in error.message


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        ({"second": nir.Output(np.array([16]))}, "out (3,), second (16,)"),
        ({"out": None}, "no Output"),
        ({"out": nir.Output(np.array([3, 1])), "last": lif(3)}, "out (3, 1)"),
    ],
)
def test_a_loss_of_classes_wants_one_output_of_them(changed: dict[str, Any], got: str) -> None:
    program = lower(net())
    steps = [step for step in program.nodes if not isinstance(step, Sink)]
    sinks = {"out": Sink("out", (3,))}
    for name, node in changed.items():
        sinks.pop(name, None)
        if isinstance(node, nir.Output):
            sinks[name] = Sink(name, tuple(int(n) for n in node.output_type["output"]))
    program = replace(program, nodes=(*steps, *sinks.values()))
    with pytest.raises(OptionError) as caught:
        loss_of("rate", program)
    assert "'rate' wants one Output, of classes" in caught.value.message
    assert (caught.value.parameter, caught.value.got) == ("loss", got)


# --- labels


@pytest.mark.parametrize(
    ("loss", "classes", "labels", "got"),
    [
        (rate(), 3, torch.tensor([0, 2, 1]), None),
        (rate(), 3, torch.tensor([2, 0], dtype=torch.uint8), None),
        (rate(), 3, torch.tensor([0, 1, 3, 4]), 3),
        (rate(), 3, torch.tensor([-1, 9]), -1),
        (rate(), 4, torch.tensor([0, 1, 3, 4]), 4),
        (rate(), 3, torch.zeros(4), "torch.float32 (4,)"),
        (rate(), 3, torch.zeros((4, 1), dtype=torch.int64), "torch.int64 (4, 1)"),
        (rate(), 3, torch.tensor(1), "torch.int64 ()"),
        (membrane(), 3, torch.tensor([3]), 3),
        (first_spike(), 3, torch.zeros(2), "torch.float32 (2,)"),
        (count(), 3, torch.tensor([0, 2]), None),
        (count(), 3, torch.tensor([0, 3]), 3),
        (count(), 3, torch.zeros((2, 3)), None),  # target counts
        (count(), 3, torch.zeros((2, 3), dtype=torch.int64), "torch.int64 (2, 3)"),
        (rate(), None, torch.tensor([0, 99]), None),
        (Loss("own", Steep(), None), 3, torch.tensor([[0.5], [99.0]]), None),
    ],
)
def test_labels(loss: Loss, classes: int | None, labels: torch.Tensor, got: object) -> None:
    """Classes of integers, but for target counts, for graphs without classes, and for losses that read none."""
    if got is None:
        check_labels(labels, classes, loss, "validation")
        return
    with pytest.raises(InputError) as caught:
        check_labels(labels, classes, loss, "validation")
    error = caught.value
    assert (error.parameter, error.got) == ("validation labels", got)
    assert error.wanted == f"(batch,) of integers 0..{(classes or 0) - 1}, the elements of the Output"
    if isinstance(got, int):
        assert error.message == f"no such class, at sample {labels.tolist().index(got)}"


def test_labels_are_checked_before_training() -> None:
    with pytest.raises(InputError, match="data labels: no such class, at sample 47; got 3; wanted"):
        hasn.train(net(), (samples(48)[0], [0] * 47 + [3]), epochs=1)
