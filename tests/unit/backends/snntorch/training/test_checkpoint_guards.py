"""A checkpoint is taken by the training that it is of, and by no other: all that tells them apart, one by one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import BatchNorm, Dropout, RateTarget, count
from hasn.backends.snntorch.training.agreeing import lowered
from hasn.backends.snntorch.training.checkpoint import fingerprint
from hasn.errors import GraphError, OptionError
from hasn.ir.structure import flatten
from hasn.nodes import PoissonInput
from hasn.nodes.lookup import kinds
from hasn.testing.cases import CASES
from hasn.training import graph_of
from tests.graphs import DT, Draw, chain, graph, inp, out
from tests.unit.backends.snntorch.training.task import CLASSES, HIDDEN, lif, net, samples

# --- the graph


def print_of(g: nir.NIRGraph, learn: Any = (), **options: Any) -> str:
    return fingerprint(g, hasn.lower(g, **{"dt": DT, **options}), learn)


BASE = {"dt": DT, "method": "euler", "reset": "zero", "timing": "synchronous"}


@pytest.mark.parametrize(
    ("option", "value"), [("dt", 2e-3), ("method", "exact"), ("reset", "subtract"), ("timing", "hardware")]
)
def test_what_the_call_says_of_the_steps_is_no_part_of_the_graph(option: str, value: Any) -> None:
    """It is compared by its own name."""
    g = net()
    assert print_of(g, **BASE) == print_of(g) == print_of(g, **{**BASE, option: value})
    plain, other = (lowered(hasn.lower(g, **{**BASE, **changed})) for changed in ({}, {option: value}))
    assert {name for name in plain if plain[name] != other[name]} == {option}
    assert lowered(hasn.lower(g)) == plain


@pytest.mark.parametrize("metadata", [{"v_init": 0.25}, {"v_init": np.linspace(0, 1, HIDDEN)}])
def test_what_metadata_says_of_a_population(metadata: dict[str, Any]) -> None:
    other = net()
    other.nodes["hidden"].metadata = metadata
    assert print_of(other) != print_of(net())


def test_metadata_that_say_another_reset() -> None:
    other = net()
    other.nodes["hidden"].metadata = {"reset": "subtract"}
    assert lowered(hasn.lower(other, **BASE))["reset"] == "{'hidden': 'subtract', 'last': 'zero'}"


def test_metadata_that_says_what_the_call_says_and_what_has_no_meaning() -> None:
    same = net()
    same.nodes["hidden"].metadata = {"reset": "zero", "v_init": 0.0, "remark": "none"}
    assert print_of(same) == print_of(net())


def moved(value: Any) -> Any:
    """Another value of a parameter, as near as can be for a real number."""
    if isinstance(value, str):
        return "valid" if value == "same" else "same"
    array = np.asarray(value)
    if array.dtype.kind == "f":
        changed = array.copy()
        changed.reshape(-1)[-1] = np.nextafter(changed.reshape(-1)[-1], 2.0)
        return changed
    return array + 1


def first_of(kind: type) -> tuple[nir.NIRGraph, str]:
    """A conformance case's graph with a node of this kind, and the node's name."""
    for case in CASES.values():
        flat = flatten(case.graph()).nodes
        if name := next((n for n, node in flat.items() if type(node) is kind), None):
            return case.graph(), name
    raise LookupError(kind)


WITH_PARAMETERS = [kind.type for kind in kinds().values() if kind.type not in (nir.Input, nir.Output)]


@pytest.mark.parametrize("kind", WITH_PARAMETERS)
def test_every_parameter_that_is_not_trained(kind: type) -> None:
    """One element's last bit. A map's weights, biases, scales come from the checkpoint; types follow from the rest."""
    g, name = first_of(kind)
    program, node = hasn.lower(g, dt=DT), flatten(g).nodes[name]
    whole, free = fingerprint(g, program, {}), set() if kind is PoissonInput else {"weight", "bias", "scale", "data"}
    derived = {"input_type", "output_type", "metadata", "input_shape"}
    parameters = set(vars(node)) - derived
    assert parameters
    for parameter in sorted(parameters):
        before = getattr(node, parameter)
        if before is None:
            continue  # a SparseLinear without delays has none
        setattr(node, parameter, moved(before))
        found = fingerprint(g, program, {})
        setattr(node, parameter, before)
        assert (found == whole) == (parameter in free), parameter


@pytest.mark.parametrize(
    ("learn", "learned"),
    [("tau", {"tau", "tau_syn", "tau_mem"}), ("threshold", {"v_threshold", "threshold"}), ("delay", {"delay"})],
)
def test_what_is_learned_may_differ_and_nothing_else(learn: str, learned: set[str]) -> None:
    d = Draw(3)
    nodes = {"input": inp(3), "late": nir.Delay(np.full(3, 2 * DT)), "a": d.lif(3), "b": d.neuron("CubaLIF", (3,)),
             "c": nir.Threshold(np.full(3, 0.5)), "output": out(3)}  # fmt: skip
    g = graph(nodes, "input > late > a > b > c > output", dt=DT)
    program, seen = hasn.lower(g, dt=DT), set()
    whole = fingerprint(g, program, {learn: "population"})
    for name in ("late", "a", "b", "c"):
        node = g.nodes[name]
        for parameter in sorted(set(vars(node)) - {"input_type", "output_type", "metadata"}):
            before = getattr(node, parameter)
            setattr(node, parameter, moved(before))
            same = fingerprint(g, program, {learn: "population"}) == whole
            setattr(node, parameter, before)
            assert same == (parameter in learned), (name, parameter)
            seen.add(parameter)
    assert learned < seen


def test_shapes_names_kinds_and_edges() -> None:
    d = Draw(1)
    weight, neurons = d.linear(4, 3), d.lif(4)
    base = chain(weight, neurons, given=(3,), result=(4,))
    others = {
        "the shape of a weight": chain(d.linear(4, 5), neurons, given=(5,), result=(4,)),
        "the kind of a node": chain(nir.Affine(weight.weight, np.zeros(4)), neurons, given=(3,), result=(4,)),
        "a node's name": graph(
            {"input": inp(3), "n1": weight, "m": neurons, "output": out(4)}, "input > n1 > m > output"
        ),
        "an edge more": graph(dict(base.nodes), "input > n1 > n2 > output", "n1 > output"),
        "another edge": graph(dict(base.nodes), "input > n1 > n2", "n1 > output"),
        "an edge turned round": graph(dict(base.nodes), "input > n1 > n2 > output", "n2 > n2"),
    }
    prints = {name: print_of(g) for name, g in others.items()}
    assert print_of(base) not in prints.values()
    assert len(set(prints.values())) == len(prints)
    turned = graph(dict(reversed(base.nodes.items())), "n2 > output", "n1 > n2", "input > n1")
    assert print_of(turned) == print_of(base)  # however the file lists it


# --- the training


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "at.pt"
    hasn.train(net(), samples(), epochs=1, checkpoint=path, surrogate="fast_sigmoid", validation=samples(12, 5))
    return path


def resumed(path: Path, **options: Any) -> Any:
    """The same call again, but for these."""
    call = {"epochs": 1, "surrogate": "fast_sigmoid", "validation": samples(12, 5), **options}
    return hasn.train(call.pop("graph", net()), samples(), checkpoint=path, resume=True, **call)


def halved(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 1)


SETTINGS: dict[str, Any] = {
    "loss": "count",
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "schedule": halved,
    "shuffle": False,
    "batch_size": 16,
    "budget": 1000,
    "accumulate": 2,
    "apply_after": 2,
    "clip": 1.0,
    "amp": "bf16",
    "learn": "tau",
    "regularisers": (RateTarget(0.1),),
    "monitor": "validation_accuracy",
    "seed": 1,
    "precision": "float64",
    "freeze": "w1.bias",
    "during": {"w1": Dropout(0.1)},
    "tbptt": 4,
    "surrogate": "atan",
    "detach_reset": True,
    "engine": "steps",
    "matmul": "split-bf16",
    "dt": 2e-3,
    "method": "exact",
    "reset": "subtract",
    "timing": "hardware",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_resume_with_another_option_is_refused(name: str, checkpoint: Path) -> None:
    with pytest.raises(OptionError, match=f"{name}: the checkpoint is of a training with another value"):
        resumed(checkpoint, **{name: SETTINGS[name]})


@pytest.mark.parametrize(
    ("option", "kept", "now"),
    [
        ("learning_rate", {"w1": 1e-2, "*": 1e-3}, {"*": 1e-3, "w1": 1e-2}),
        ("learn", {"tau": {"last": "neuron", "*": "population"}}, {"tau": {"*": "population", "last": "neuron"}}),
    ],
)
def test_the_first_name_that_means_a_parameter_counts(option: str, kept: Any, now: Any, tmp_path: Path) -> None:
    """So their order is a part of the value."""
    hasn.train(net(), samples(), epochs=1, checkpoint=tmp_path / "at.pt", **{option: kept})
    with pytest.raises(OptionError, match=f"{option}: the checkpoint is of a training with another value"):
        hasn.train(net(), samples(), epochs=1, checkpoint=tmp_path / "at.pt", resume=True, **{option: now})


def test_numbers_of_numpy_come_out_of_a_checkpoint(tmp_path: Path) -> None:
    """torch reads no other numbers than Python's."""
    half = np.float32(0.5)
    given: dict[str, Any] = {
        "during": {"w1": BatchNorm(scale=np.float64(0.5)), "w2": Dropout(half)}, "dt": np.float64(1e-3), "seed": 3,
        "optimizer": lambda groups: torch.optim.SGD(groups, lr=np.float64(0.1)), "checkpoint": tmp_path / "at.pt",
    }  # fmt: skip
    made = hasn.train(net(), samples(), epochs=1, **given)
    assert np.array_equal(graph_of(given["checkpoint"]).nodes["w1"].weight, made.graph.nodes["w1"].weight)
    assert hasn.train(net(), samples(), epochs=2, **given, resume=True).losses[: made.steps] == made.losses


def test_an_option_of_the_backend_that_is_left_out_is_another_value(checkpoint: Path) -> None:
    with pytest.raises(OptionError, match=r"surrogate: .*got the default; wanted 'fast_sigmoid'"):
        hasn.train(net(), samples(), epochs=1, checkpoint=checkpoint, resume=True, validation=samples(12, 5))


def started_at(voltage: float) -> nir.NIRGraph:
    g = net()
    g.nodes["hidden"].metadata["v_init"] = voltage
    return g


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("graph", net(hidden=lif(HIDDEN, tau=6e-3))),
        ("graph", net(last=lif(CLASSES, v_reset=0.1))),
        ("graph", started_at(0.3)),
    ],
)
def test_a_resume_of_another_network_is_refused(option: str, value: Any, checkpoint: Path) -> None:
    with pytest.raises(GraphError, match="of another graph"):
        resumed(checkpoint, **{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("epochs", 2), ("patience", 3), ("keep_best", True), ("recompute", 5), ("checkpoint_every", 1), ("device", "cpu")],
)
def test_a_resume_may_differ_in_what_changes_no_number(
    option: str, value: Any, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "copy.pt"
    path.write_bytes(checkpoint.read_bytes())
    assert len(resumed(path, **{option: value}).history) == (2 if option == "epochs" else 1)


def test_losses_and_schedules_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    def schedule(size: int) -> Any:
        return functools.partial(torch.optim.lr_scheduler.StepLR, step_size=size)

    path = tmp_path / "at.pt"
    call: dict[str, Any] = {"epochs": 1, "loss": count(0.9), "schedule": schedule(2), "regularisers": [RateTarget(0.1)]}
    hasn.train(net(), samples(), checkpoint=path, **call)
    hasn.train(net(), samples(), checkpoint=path, resume=True, **call)
    for name, value in {
        "loss": count(0.8), "schedule": schedule(3), "regularisers": [RateTarget(0.2)]
    }.items():  # fmt: skip
        with pytest.raises(OptionError, match=f"{name}: the checkpoint is of a training with another value"):
            hasn.train(net(), samples(), checkpoint=path, resume=True, **{**call, name: value})
