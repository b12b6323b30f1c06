"""NeuroBench's metrics: by hand, and against the package itself on models that it can run."""

from __future__ import annotations

import json
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.energy import benchmark_model
from hasn.energy.bench import measured
from hasn.errors import BackendUnavailable, OptionError, UnsupportedError
from hasn.plasticity import STDP, attach
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain, graph, inp, out, spikes

D = Draw(4)


def by_hand() -> Any:
    """3 inputs, 2 IF that add up and are reset, 1 IF. Weights 0 stay layers' weights."""
    first, second = np.array([[0.6, 0.0, 0.3], [0.6, 0.0, 0.0]]), np.array([[1.0, 0.0]])

    def population(n: int) -> nir.IF:
        return nir.IF(r=np.full(n, 1000.0), v_threshold=np.full(n, 1.0))

    net = chain(
        nir.Affine(first, np.zeros(2)), population(2), nir.Linear(second), population(1), given=(3,), result=(1,)
    )
    return ProgramInterpreter(hasn.lower(net, dt=1e-3))


def test_by_hand() -> None:
    x = np.zeros((4, 1, 3))
    x[0, 0], x[1, 0], x[3, 0] = [1, 1, 0], [1, 0, 0.5], [0, 1, 0]
    found = measured(by_hand(), x)
    # two arrays of weights, one of biases; three of the eight weights are 0
    assert (found["ParameterCount"], found["Footprint"], found["ConnectionSparsity"]) == (10, 40, 0.5)
    # step 0: input 0 reaches 2, input 1 none; step 1 has 0.5, so it multiplies: 2 + 1; step 3 sends to nobody.
    # Both neurons reach 1.2 (+ 0.15) at step 1 and spike; neuron 0 reaches the last, which does not pass 1.0
    assert found["SynapticOperations"] == {"Effective_MACs": 3.0, "Effective_ACs": 2.0 + 1.0, "Dense": 4 * (6 + 2)}
    assert found["ActivationSparsity"] == (12 - 2) / 12
    # step 0 counts for all three; step 1 moves both back to 0 (from 0.6) and the last to 1.0; nothing moves later
    assert found["MembraneUpdates"] == 3 + 3
    assert json.loads(found.to_json()) == found


def test_values_are_looked_at_behind_a_pool_and_a_delay() -> None:
    """A mean pool gives 0, 0.5 and 1: whoever gets a 0.5 in a step multiplies in it; 2 steps later, for the delay."""
    nodes = {
        "i": inp(1, 4), "p": nir.Conv1d(input_shape=4, weight=np.array([[[0.5, 0.5]]]), stride=2, padding=0, dilation=1,
                                        groups=1, bias=np.zeros(1)),
        "f": nir.Flatten({"input": np.array([1, 2])}, 0, -1), "d": nir.Delay(np.array([2e-3, 2e-3])),
        "a": nir.Linear(np.ones((3, 2))), "n": D.neuron("IF", (3,), r=np.full(3, 1e-3)), "o": out(3),
    }  # fmt: skip
    executable = ProgramInterpreter(hasn.lower(graph(nodes, "i > p > f > d > a > n > o"), dt=1e-3))
    x = np.zeros((5, 1, 1, 4))
    x[0, 0, 0], x[1, 0, 0], x[4, 0, 0] = [1, 1, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1]
    found = measured(executable, x)["SynapticOperations"]
    # p: spikes arrive, 2 + 3 + 4 taps. a: step 2 gets (1, 0), step 3 (0.5, 1), of which each reaches 3
    assert found == {"Effective_ACs": 9.0 + 3.0, "Effective_MACs": 6.0, "Dense": 5 * (4 + 6)}


def test_the_same_on_every_backend() -> None:
    flat = nir.Flatten({"input": np.array([2, 4])}, 0, -1)
    net = chain(D.conv1d(2, 1, 3), D.lif(2, 4), flat, D.linear(3, 8), D.lif(3), given=(1, 6), result=(3,))
    x = spikes((1, 6), 25, 2)
    found = [
        hasn.neurobench(net, x, dt=DT),
        hasn.neurobench(net, x, backend="brian2", dt=DT, target="numpy"),
    ]
    assert found[0] == found[1]
    assert 0 < found[0]["ActivationSparsity"] < 1
    executable = hasn.compile(net, "snntorch", dt=DT)
    assert hasn.neurobench(executable, x) == found[0]


def test_what_has_no_layers_to_count() -> None:
    net = chain(D.linear(2, 3), D.lif(2), given=(3,), result=(2,))
    with pytest.raises(UnsupportedError, match=r"node 'n1': its weights move.*detach"):
        hasn.neurobench(attach(net, "n1", STDP()), np.ones((3, 1, 3)), dt=DT)
    loop = {"i": inp(2), "a": D.linear(2, 2), "b": D.linear(2, 2), "n": D.lif(2), "o": out(2)}
    with pytest.raises(UnsupportedError, match=r"node '[ab]': it is in a loop without any population"):
        measured(ProgramInterpreter(hasn.lower(graph(loop, "i > a > b > a", "b > n > o"), dt=DT)), np.ones((3, 1, 2)))
    silent = measured(ProgramInterpreter(hasn.lower(chain(D.neuron("LI", (3,)), given=(3,), result=(3,)), dt=DT)),
                      np.ones((3, 1, 3)))  # fmt: skip
    assert silent == {
        "Footprint": 0, "ParameterCount": 0, "ConnectionSparsity": 0.0, "ActivationSparsity": 0.0,
        "MembraneUpdates": 0.0,
        "SynapticOperations": {"Effective_MACs": 0.0, "Effective_ACs": 0.0, "Dense": 0.0},
    }  # fmt: skip


def test_without_the_package_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "neurobench.models", None)
    monkeypatch.delitem(sys.modules, "hasn.energy.bench_model", raising=False)
    with pytest.raises(
        BackendUnavailable, match=r"NeuroBench cannot be imported.*pip install --no-deps neurobench tqdm"
    ):
        benchmark_model(by_hand())


# --- against the package


def package() -> Any:
    pytest.importorskip("neurobench", reason="NeuroBench is not installed: make peers")
    pytest.importorskip("torch", reason="the snntorch extra is not installed")
    from neurobench import benchmarks
    from neurobench.metrics import static, workload

    metrics = [
        [static.Footprint, static.ParameterCount, static.ConnectionSparsity],
        [workload.ActivationSparsity, workload.SynapticOperations, workload.MembraneUpdates],
    ]
    return lambda model, loader: benchmarks.Benchmark(model, loader, [], [], metrics).run(quiet=True)


def modules() -> dict[str, Any]:
    """Models as NeuroBench's users write them, and the shape of an input."""
    torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
    snn = pytest.importorskip("snntorch", reason="the snntorch extra is not installed")
    torch.manual_seed(3)

    def leaky(**how: Any) -> Any:
        return snn.Leaky(beta=0.9, init_hidden=True, **how)

    def lively(layer: Any, drop: float = 0.0) -> Any:
        with torch.no_grad():
            layer.weight.abs_().mul_(1.5)
            layer.weight[torch.rand(layer.weight.shape) < drop] = 0
        return layer

    nn = torch.nn
    return {
        "dense": (
            nn.Sequential(lively(nn.Linear(6, 20), 0.3), leaky(), lively(nn.Linear(20, 4)), leaky(output=True)), (6,)),
        "without biases": (
            nn.Sequential(lively(nn.Linear(6, 9, bias=False)), leaky(reset_mechanism="zero", reset_delay=False),
                          lively(nn.Linear(9, 3, bias=False), 0.5), leaky(output=True)), (6,)),
        "convolution": (
            nn.Sequential(lively(nn.Conv2d(1, 3, 3, padding=1)), leaky(), lively(nn.Conv2d(3, 2, 3, stride=2), 0.2),
                          leaky(), nn.Flatten(), lively(nn.Linear(18, 3)), leaky(output=True)), (1, 7, 7)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["spikes", "numbers"])
@pytest.mark.parametrize("name", ["dense", "without biases", "convolution"])
def test_the_packages_own_figures(name: str, kind: str) -> None:
    """The same model in NeuroBench on snnTorch, as a hasn graph, and as a hasn executable in NeuroBench."""
    run = package()
    import torch
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    from hasn.conversions.snntorch import from_snntorch

    module, shape = modules()[name]
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(8, 30, *shape, generator=generator)
    x = (x < 0.3).float() if kind == "spikes" else x
    loader = DataLoader(TensorDataset(x, torch.zeros(8)), batch_size=8)
    converted = from_snntorch(module, input_shape=shape, dt=DT)
    neurons = [m for m in module.modules() if type(m).__name__ == "Leaky"]
    own = sum(b.numel() * b.element_size() for m in neurons for b in [*m.buffers(), *m.parameters()])
    theirs = run(SNNTorchModel(module), loader)
    ours = hasn.neurobench(converted, x.numpy().swapaxes(0, 1), precision="float32")
    # NeuroBench adds what snnTorch keeps for a layer of neurons: beta, threshold and three numbers more
    assert ours["Footprint"] == theirs["Footprint"] - own
    assert own == 20 * len(neurons)
    for metric in ("ConnectionSparsity", "SynapticOperations", "MembraneUpdates"):
        assert ours[metric] == theirs[metric], metric
    assert ours["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)  # a float sum of theirs
    assert 0.1 < ours["ActivationSparsity"] < 0.99
    assert ours["SynapticOperations"]["Effective_ACs"] > 100
    assert (ours["SynapticOperations"]["Effective_MACs"] > 0) == (kind == "numbers")
    counts = hasn.compile(converted, precision="float32").run(x.numpy().swapaxes(0, 1)).counts.total
    assert counts.accumulates / 8 == theirs["SynapticOperations"]["Effective_ACs"]
    assert counts.multiply_accumulates / 8 == theirs["SynapticOperations"]["Effective_MACs"]
    wrapped = run(benchmark_model(hasn.compile(converted, precision="float32")), loader)
    for metric in (
        "ParameterCount",
        "ConnectionSparsity",
        "SynapticOperations",
        "MembraneUpdates",
        "ActivationSparsity",
    ):
        assert wrapped[metric] == ours[metric], metric


def test_the_wrapper_gives_what_the_output_gives() -> None:
    package()
    import torch

    net = chain(D.linear(4, 6), D.lif(4), given=(6,), result=(4,))
    executable = hasn.compile(net, "brian2", dt=DT)
    x = spikes((6,), 12, 3)
    found = benchmark_model(executable)(torch.as_tensor(x.astype(float).swapaxes(0, 1).copy()))
    assert np.array_equal(found.numpy().swapaxes(0, 1), executable.run(x).output)
    assert found.sum() > 0
    two = graph({"i": inp(2), "j": inp(2), "a": D.linear(2, 2), "n": D.lif(2), "o": out(2)}, "i > a > n > o", "j > a")
    with pytest.raises(OptionError, match="NeuroBench gives one array; got 2 Inputs"):
        benchmark_model(hasn.compile(two, dt=DT))
    sparse = chain(D.sparse(4, 6), D.lif(4), given=(6,), result=(4,))
    with pytest.raises(UnsupportedError, match="node 'n1': NeuroBench knows no such layer; got Sparse"):
        benchmark_model(hasn.compile(sparse, dt=DT))
