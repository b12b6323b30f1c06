"""Modules and executables that are pickled, copied, saved and compiled; what a hook or a pruning does to both."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
import hasn.plasticity
from hasn.errors import InputError, UnsupportedError
from tests.graphs import Draw, graph, inp, out

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
pytest.importorskip("snntorch", reason="the snntorch extra is not installed")
from snntorch import surrogate  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune, weight_norm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
DT = 1e-3
X = (2 * np.random.default_rng(2).random((30, 3, 4))).astype(np.float32)


def net() -> Any:
    """Two populations: one that is snnTorch's own, one with a leak of hasn's, and a way back with a step of delay."""
    draw = Draw(4)
    zero = {"v_leak": np.zeros(6), "v_reset": np.zeros(6)}
    nodes = {
        "in": inp(4),
        "fc": draw.affine(6, 4),
        "a": draw.neuron("LIF", (6,), **zero),
        "w": draw.linear(6, 6, mean=0.3),
        "b": draw.neuron("CubaLIF", (6,)),
        "back": draw.linear(6, 6, mean=-0.1),
        "out": out(6),
    }
    return graph(nodes, "in > fc > a > w > b > out", "b > back > a", dt=DT)


def compiled(**options: Any) -> Any:
    return hasn.compile(net(), "snntorch", precision="float32", **options)


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "torch.save": saved,
}


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_runs_and_trains_as_the_original_and_apart_from_it(way: str, engine: str) -> None:
    made = compiled(engine=engine, surrogate=surrogate.fast_sigmoid(slope=7))
    for again in (WAYS[way](made).module, WAYS[way](made.module)):
        x = torch.as_tensor(X)
        assert torch.equal(again(x), made.module(x))
        assert 0.02 < float(again(x).detach().mean()) < 0.98
        made.module.zero_grad()
        again(x).sum().backward()
        made.module(x).sum().backward()
        for one, other in zip(again.parameters(), made.module.parameters(), strict=True):
            assert float(one.grad.abs().sum()) > 0
            torch.testing.assert_close(one.grad, other.grad)
        before = made.module(x).sum()
        with torch.no_grad():
            next(again.parameters()).zero_()
        assert float(made.module(x).sum()) == float(before)


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_goes_on_with_the_stream_where_it_was(way: str, engine: str) -> None:
    made, whole = compiled(engine=engine), compiled(engine=engine).run(X).outputs["out"]
    for x in X[:11]:
        made.step(x)
    again = WAYS[way](made)
    second = WAYS[way](again)  # of a copy that has not gone on yet
    for each in (again, made, second):  # one after the other: none writes into another's memory
        rest = np.array([np.asarray(each.step(x)) for x in X[11:]])
        np.testing.assert_array_equal(rest, whole[11:])
    fresh = WAYS[way](compiled(engine=engine))
    np.testing.assert_array_equal(np.array([np.asarray(fresh.step(x)) for x in X]), whole)
    np.testing.assert_array_equal(WAYS[way](made).to_nir().nodes["fc"].weight, made.to_nir().nodes["fc"].weight)


@pytest.mark.parametrize("name", ["atan", "fast_sigmoid", "sigmoid", "triangular", "straight_through_estimator",
                                  "spike_rate_escape", "SFS"])  # fmt: skip
def test_every_surrogate_comes_back_with_its_parameters(name: str) -> None:
    torch.manual_seed(1)  # SFS draws
    made = compiled(surrogate=name, engine="steps")
    again = WAYS["pickle"](made.module)
    x = torch.linspace(-2, 2, 41, requires_grad=True)
    grads = []
    for module in (made.module, again):
        torch.manual_seed(1)
        x.grad = None
        module.population("a").neuron.spike_grad(x).sum().backward()
        grads.append(x.grad.clone())
    assert torch.equal(*grads)
    assert float(grads[0].abs().sum()) > 0


def test_a_function_that_cannot_be_pickled_is_named_by_pickle() -> None:
    made = compiled(surrogate=lambda x: (x > 0).float())
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(made)
    assert copy.deepcopy(made).module(torch.as_tensor(X)).shape == (30, 3, 6)


COMPILED = """
import sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from tests.unit.backends.snntorch.test_copies import X, compiled
made, x = compiled(), torch.as_tensor(X)
for engine in ("fused", "steps"):
    made.module.engine = engine
    fast = torch.compile(made.module, backend="eager")
    wanted, got = made.module(x), fast(x)
    assert torch.equal(wanted, got) and 0.02 < float(got.mean()) < 0.98
    grads = []
    for module in (made.module, fast):
        made.module.zero_grad()
        module(x).sum().backward()
        grads.append([p.grad.clone() for p in made.module.parameters()])
    assert all(map(torch.allclose, *grads)) and float(grads[0][0].abs().sum()) > 0
print("the same")
"""


def test_torch_compile_runs_the_module() -> None:
    """In a process of its own: torch.compile's import takes seconds and stays in every later call."""
    root = str(Path(__file__).parents[4])
    done = subprocess.run([sys.executable, "-c", COMPILED, root], capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "the same", done.stderr[-2000:]


# --- what the module takes


def test_numpy_arrays_are_taken() -> None:
    module = compiled().module
    wanted = module(torch.as_tensor(X))
    for given in (X, X.astype(np.float64), X.tolist(), {"in": X}, X[:, ::-1].copy()[:, ::-1]):
        assert torch.equal(module(given), wanted)
    assert torch.equal(module(np.round(X).astype(np.uint8)), module(torch.as_tensor(np.round(X))))


BAD: dict[str, tuple[Any, str]] = {
    "no sample": (np.zeros((5, 0, 4)), "no step or no sample"),
    "no step": (torch.zeros(0, 2, 4), "no step or no sample"),
    "shape": (np.zeros((5, 2, 3)), "wrong shape"),
    "no batch": (np.zeros((5, 4)), "wrong shape"),
    "nothing": (None, "is no array"),
    "words": ("spikes", "is no array"),
    "ragged": ([[1.0], [1.0, 2.0]], "is no array"),
    "complex": (torch.zeros(5, 2, 4, dtype=torch.complex64), "is complex"),
}


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_input_is_refused_by_node(name: str, engine: str) -> None:
    given, words = BAD[name]
    with pytest.raises(InputError, match=words) as error:
        compiled(engine=engine).module(given)
    assert (error.value.node, error.value.parameter) == ("in", "x")


# --- weights that the next pass computes, and what stands around a forward

CHANGES: dict[str, Callable[[Any], Any]] = {
    "prune": lambda part: prune.l1_unstructured(part, "weight", 0.4),
    "weight norm": weight_norm,
    "parametrized": parametrizations.weight_norm,
}


def streamed(made: Any) -> np.ndarray[Any, Any]:
    made.reset()
    return np.array([np.asarray(made.step(x[:1])) for x in X])


@pytest.mark.parametrize("underway", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_to_nir_and_streams_have_the_weights_of_the_next_pass(name: str, underway: bool) -> None:
    made = compiled()
    if underway:
        made.step(X[0, :1])
    part = made.module.node("fc")
    CHANGES[name](part)
    made.module(torch.as_tensor(X)).sum().backward()
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.mul_(1.4)  # a step of an optimiser
    graph_of = made.to_nir()
    wanted = made.run(X).outputs["out"]
    np.testing.assert_array_equal(streamed(made), wanted[:, :1])
    back = hasn.compile(graph_of, "snntorch", precision="float32")
    np.testing.assert_array_equal(back.run(X).outputs["out"], wanted)
    assert not np.array_equal(wanted, compiled().run(X).outputs["out"])
    assert type(part).__name__ in ("Linear", "ParametrizedLinear")
    assert prune.is_pruned(part) == (name == "prune")


@pytest.mark.parametrize("underway", [False, True])
@pytest.mark.parametrize("node", ["fc", "back", "a", "b"])
def test_what_changes_a_node_is_run_and_streamed_and_refused_on_the_way_back(node: str, underway: bool) -> None:
    for kind in ("hook", "pre-hook", "forward"):
        made = compiled()
        if underway:
            made.step(X[0, :1])
        part = made.module.node(node)
        if kind == "hook":
            part.register_forward_hook(lambda module, given, output: halved(output))
        elif kind == "pre-hook":
            part.register_forward_pre_hook(lambda module, given: (given[0] * 0.5, *given[1:]))
        else:
            own = part.forward
            part.forward = lambda *given, own=own: halved(own(*given))
        wanted = made.run(X).outputs["out"]
        np.testing.assert_array_equal(streamed(made), wanted[:, :1])
        made.module.engine = "steps"
        np.testing.assert_array_equal(made.run(X).outputs["out"], wanted)
        with pytest.raises(UnsupportedError, match="changes what the module gives") as error:
            made.to_nir()
        assert (error.value.node, error.value.parameter) == (node, "to_nir")


def halved(output: Any) -> Any:
    return (output[0] * 0.5, *output[1:]) if isinstance(output, tuple) else output * 0.5


def test_hooks_that_look_are_no_reason_to_refuse() -> None:
    made, seen = compiled(), []
    for part in made.module.modules():
        part.register_forward_hook(lambda module, given, output: seen.append(1))
    np.testing.assert_array_equal(made.to_nir().nodes["fc"].weight, net().nodes["fc"].weight.astype(np.float32))
    made.module.register_forward_hook(lambda module, given, output: 2 * output)
    with pytest.raises(UnsupportedError, match="changes what the module gives") as error:
        made.to_nir()
    assert error.value.node == "(the module)"
    assert isinstance(made.module, nn.Module)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_copy_has_the_weights_that_were_learned(way: Any) -> None:
    draw = Draw(7)
    nodes = {"in": inp(4), "w": draw.linear(6, 4, mean=0.6), "a": draw.neuron("LIF", (6,)), "out": out(6)}
    learning = hasn.plasticity.attach(graph(nodes, "in > w > a > out", dt=DT), "w", hasn.plasticity.STDP())
    made = hasn.compile(learning)
    made.run((np.random.default_rng(2).random((40, 1, 4)) < 0.5).astype(np.float32))
    learned = made.weights("w")
    assert not np.array_equal(learned[0], nodes["w"].weight)
    np.testing.assert_array_equal(way(made).weights("w"), learned)
    np.testing.assert_array_equal(way(made).to_nir().nodes["w"].weight, learned[0])
