"""SparseLinear in torch: products by compressed rows and by a dense matrix, gradients, delays, the way back to NIR."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import hasn
from hasn.backends.snntorch import synapses
from hasn.backends.snntorch.lines import Line
from hasn.backends.snntorch.synapses import Synapses
from hasn.nodes import SparseLinear
from hasn.program.maps import Sparse
from hasn.testing.cases import CASES
from tests.graphs import DT, Draw, chain, spikes

LATE = np.array([2, 0, 1, 2, 0, 5, 1], np.int32)


@pytest.fixture(params=["rows", "dense"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every product by compressed rows, or every one by a dense matrix."""
    monkeypatch.setattr(synapses, "DENSE_SHARE", 2.0 if request.param == "rows" else 0.0)
    return request.param


def made(delay: Any = None) -> tuple[Synapses, Any]:
    """4 outputs, 3 inputs: rows out of order, one empty, one place twice; and the same as {delay: dense matrix}."""
    indices, ends = np.array([2, 0, 1, 1, 0, 1, 2], np.int32), np.array([0, 2, 4, 4, 7], np.int32)
    weight = np.array([0.5, -1.0, 2.0, 0.25, 3.0, -0.5, 1.5])
    module = Synapses(Sparse(weight, indices, ends, 4, 3, delay=delay), torch.float64)
    rows = np.repeat(np.arange(4), np.diff(ends))
    steps = np.zeros(7, int) if delay is None else delay
    dense = {int(d): np.zeros((4, 3)) for d in steps}
    for s in range(7):
        dense[int(steps[s])][rows[s], indices[s]] += weight[s]
    return module, dense


def late_sum(dense: dict[int, np.ndarray[Any, Any]], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """sum over d of W_d x[t - d] for x (T, batch, inputs)."""
    y = np.zeros((*x.shape[:2], 4))
    for d, matrix in dense.items():
        for t in range(d, len(x)):
            y[t] += x[t - d] @ matrix.T
    return y


def test_the_product(product: str) -> None:
    module, dense = made()
    assert [part.dense for part in module.parts] == [product == "dense"]
    x = np.random.default_rng(1).standard_normal((6, 3))
    np.testing.assert_allclose(module(torch.tensor(x)).detach().numpy(), x @ dense[0].T, rtol=1e-14)


@pytest.mark.usefixtures("product")
def test_gradients_are_those_of_differences() -> None:
    module, _ = made(LATE)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = module.weight.detach().clone().requires_grad_()

    def run(weight: Any, x: Any) -> Any:
        return torch.func.functional_call(_Runs(module), {"module.weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, (weight, x))


class _Runs(torch.nn.Module):
    def __init__(self, module: Synapses) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        return self.module.run(x, Line(self.module.longest))


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("cuts", [(9,), (4, 5), (1,) * 9, (2, 1, 6)])
def test_each_synapse_takes_its_delay_however_a_run_is_cut(cuts: tuple[int, ...]) -> None:
    module, dense = made(LATE)
    x = np.random.default_rng(2).standard_normal((9, 2, 3))
    given, line = torch.tensor(x), Line(module.longest)
    with torch.no_grad():
        found = torch.cat([module.run(part, line) for part in given.split(list(cuts))])
    np.testing.assert_allclose(found.numpy(), late_sum(dense, x), rtol=1e-13, atol=1e-14)
    assert len(line.past) <= module.longest + 1


def test_steps_and_runs_go_on_from_each_other() -> None:
    module, dense = made(LATE)
    x = np.random.default_rng(3).standard_normal((12, 2, 3))
    given, line, found = torch.tensor(x), Line(module.longest), []
    with torch.no_grad():
        found += [module.step(now, line) for now in given[:3]]
        found += list(module.run(given[3:5], line))
        found += [module.step(now, line) for now in given[5:8]]
        found += list(module.run(given[8:], line))
    np.testing.assert_allclose(torch.stack(found).numpy(), late_sum(dense, x), rtol=1e-13, atol=1e-14)


def test_a_delay_longer_than_the_run_costs_nothing_and_never_arrives() -> None:
    module, dense = made(np.array([0, 0, 2**31 - 1, 0, 0, 0, 10**6], np.int32))
    x = np.random.default_rng(4).standard_normal((6, 1, 3))
    line = Line(module.longest)
    with torch.no_grad():
        found = module.run(torch.tensor(x), line)
    np.testing.assert_allclose(found.numpy(), x @ dense[0].T, rtol=1e-14)
    assert len(line.past) == 6


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("delay", [None, LATE])
def test_a_stream_gathers_the_synapses_of_active_inputs(
    share: float, delay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or multiplies all of them, where more than a share is active; new weights are noticed."""
    monkeypatch.setattr(synapses, "FEW_SHARE", share)
    module, dense = made(delay)
    spec = Sparse(module.weight.detach().numpy(), np.array([2, 0, 1, 1, 0, 1, 2], np.int32),
                  np.array([0, 2, 4, 4, 7], np.int32), 4, 3)  # fmt: skip
    node = SparseLinear(spec.matrix((3,)), delay)
    executable = hasn.compile(chain(node, given=(3,), result=(4,)), dt=DT)
    x = np.random.default_rng(5).standard_normal((12, 2, 3)) * (np.random.default_rng(6).random((12, 2, 3)) < 0.4)
    found = np.stack([executable.step(now).output for now in x])
    np.testing.assert_allclose(found, late_sum(dense, x), rtol=1e-13, atol=1e-14)
    executable.reset()
    with torch.no_grad():
        executable.module.node("n1").weight.mul_(2.0)
    found = np.stack([executable.step(now).output for now in x])
    np.testing.assert_allclose(found, 2 * late_sum(dense, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("name", ["sparse_with_delays-subtract-batch", "sparse_loop", "sparse_two_loops-batch"])
def test_gradients_are_those_of_the_same_network_in_dense_nodes(name: str, engine: str) -> None:
    """A nir.Linear and a nir.Delay for each delay in place of each SparseLinear."""
    case = CASES[name]
    net = case.graph()
    options = {**case.options(), "engine": engine}
    sparse, dense = hasn.compile(net, **options), hasn.compile(_in_dense_nodes(net), **options)
    x = {key: torch.tensor(value if case.batch else value[:, None]) for key, value in case.inputs().items()}
    for executable in (sparse, dense):
        made = executable.module(x)
        made = made if isinstance(made, dict) else {"output": made}
        torch.manual_seed(0)
        sum((made[key] * torch.rand_like(made[key])).sum() for key in sorted(made)).backward()
    for key, node in net.nodes.items():
        if isinstance(node, SparseLinear):
            rows = np.repeat(np.arange(node.shape[0]), np.diff(node.indptr))
            steps = np.zeros(node.synapses, int) if node.delay is None else node.delay
            places = zip(steps, rows, node.indices, strict=True)
            wanted = [dense.module.node(f"{key}_{d}").weight.grad[r, c] for d, r, c in places]
            found = sparse.module.node(key).weight.grad
            assert float(found.abs().max()) > 0
            torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-9, atol=1e-12)


def _in_dense_nodes(net: nir.NIRGraph) -> nir.NIRGraph:
    nodes, edges = {}, []
    for key, node in net.nodes.items():
        into, after = [a for a, b in net.edges if b == key], [b for a, b in net.edges if a == key]
        if not isinstance(node, SparseLinear):
            nodes[key] = node
            continue
        # A relay at its place keeps the feedback edges the ones they were.
        nodes[key] = nir.Scale(np.ones(node.shape[1]))
        steps = np.zeros(node.synapses, int) if node.delay is None else node.delay
        for d in sorted(set(steps.tolist())):
            weight = np.where(steps == d, node.data, 0.0)
            dense = csr_array((weight, node.indices, node.indptr), shape=node.shape).toarray()
            nodes[f"{key}_{d}"] = nir.Linear(dense)
            nodes[f"{key}_{d}_late"] = nir.Delay(np.full(node.shape[0], d * DT))
            edges += [(key, f"{key}_{d}"), (f"{key}_{d}", f"{key}_{d}_late")]
            edges += [(f"{key}_{d}_late", target) for target in after]
        edges += [(source, key) for source in into]
    sparse = {key for key, node in net.nodes.items() if isinstance(node, SparseLinear)}
    edges += [(a, b) for a, b in net.edges if not {a, b} & sparse]
    return nir.NIRGraph(nodes, list(dict.fromkeys(edges)), metadata=net.metadata, type_check=False)


def test_recomputing_gives_the_same_gradients() -> None:
    net, x = CASES["sparse_loop"].graph(), torch.tensor(spikes((6,), 40, 2))
    grads = []
    for recompute in (None, 7):
        executable = hasn.compile(net, dt=DT, recompute=recompute)
        executable.module(x).sum().backward()
        grads.append(executable.module.node("rec").weight.grad)
    assert float(grads[0].abs().max()) > 0
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-10, atol=1e-13)


def test_trained_weights_go_back_into_the_same_pattern() -> None:
    """In the order of the node, delays and all; the caller's node stays as it is."""
    d = Draw(3)
    node = d.sparse(5, 6, longest=4, mean=0.5, dtype="float32")
    before = node.data.copy()
    net = chain(node, d.lif(5), given=(6,), result=(5,))
    executable = hasn.compile(net, dt=DT, precision="float32")
    x = torch.tensor(spikes((6,), 30, 4)).float()
    optimizer = torch.optim.SGD(executable.module.parameters(), lr=0.02)
    executable.module(x).sum().backward()
    gradient = executable.module.node("n1").weight.grad.numpy()
    optimizer.step()
    back = executable.to_nir().nodes["n1"]
    assert type(back) is SparseLinear
    for name in ("indices", "indptr", "delay"):
        np.testing.assert_array_equal(getattr(back, name), getattr(node, name))
    assert back.data.dtype == np.float32
    np.testing.assert_allclose(back.data, before - np.float32(0.02) * gradient, rtol=1e-6)
    assert np.abs(back.data - before).max() > 1e-3
    np.testing.assert_array_equal(node.data, before)
    run, again = (e.run(x.numpy()).spikes["n2"] for e in (executable, hasn.compile(executable.to_nir(), dt=DT)))
    assert 0.05 < run.mean() < 0.95
    np.testing.assert_array_equal(run, again)


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
def test_weights_that_nobody_trained_come_back_as_they_were_kept(dtype: str) -> None:
    node = Draw(3).sparse(5, 6, longest=4, mean=0.5, dtype=dtype)
    back = hasn.compile(chain(node, Draw(1).lif(5), given=(6,), result=(5,)), dt=DT).to_nir().nodes["n1"]
    assert back.data.dtype == dtype
    np.testing.assert_array_equal(back.data, node.data)


def test_trained_int8_weights_become_what_they_are() -> None:
    node = Draw(3).sparse(5, 6, mean=0.5, dtype="int8")
    executable = hasn.compile(chain(node, Draw(1).lif(5), given=(6,), result=(5,)), dt=DT)
    with torch.no_grad():
        executable.module.node("n1").weight.mul_(1.001)
    back = executable.to_nir().nodes["n1"]
    assert back.data.dtype == np.float64
    np.testing.assert_allclose(back.data, node.weight.data.astype(float) * 1.001, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"amp": "bf16"}], ids=["float32", "bf16"])
@pytest.mark.usefixtures("product")
def test_training_by_hasn_train_moves_them(options: dict[str, str]) -> None:
    d = Draw(6)
    layers = (d.sparse(8, 6, longest=3, mean=0.4), d.lif(8), d.sparse(2, 8, mean=0.4), d.lif(2))
    net = chain(*layers, given=(6,), result=(2,))
    result = hasn.train(net, (spikes((6,), 20, 16), np.arange(16) % 2), dt=DT, epochs=1, batch_size=8, **options)
    for name in ("n1", "n3"):
        before, after = net.nodes[name], result.graph.nodes[name]
        assert type(after) is SparseLinear
        np.testing.assert_array_equal(after.indices, before.indices)
        assert np.abs(after.weight.data - before.weight.data).max() > 1e-5
