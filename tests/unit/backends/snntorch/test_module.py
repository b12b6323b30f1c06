"""The torch module: real snnTorch neurons, gradients, state_dict, and the way back to NIR."""

from __future__ import annotations

import copy
import gc
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain, graph, inp, out

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
snntorch = pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")


def compiled(g: nir.NIRGraph, **options: Any) -> Any:
    return hasn.compile(g, "snntorch", dt=DT, **options)


def kinds(executable: Any) -> list[str]:
    """Types of the neurons, in the order of evaluation."""
    return [type(m.neuron).__name__ for m in executable.module.modules() if hasattr(m, "neuron")]


def leaky_net(**fixed: Any) -> nir.NIRGraph:
    d = Draw(5)
    return chain(d.linear(7, 6), d.lif(7, v_leak=0.0, v_reset=0.0, **fixed), given=(6,), result=(7,))


def train(shape: tuple[int, ...] = (40, 3, 6), seed: int = 2) -> Any:
    return torch.tensor(np.random.default_rng(seed).random(shape) < 0.4)


@pytest.mark.parametrize(
    ("kind", "fixed", "options", "stock"),
    [
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0}, {}, "Leaky"),
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0}, {"method": "exact"}, "Leaky"),
        ("IF", {"v_reset": 0.0}, {}, "Leaky"),
        ("LI", {"v_leak": 0.0}, {}, "Leaky"),
        ("CubaLIF", {"v_leak": 0.0, "v_reset": 0.0}, {}, "Synaptic"),
        ("CubaLI", {"v_leak": 0.0}, {}, "Synaptic"),
        # Equations that snnTorch's neurons do not have:
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0}, {"reset": "subtract"}, "LinearNeuron"),
        ("LIF", {"v_leak": 0.1, "v_reset": 0.0}, {}, "LinearNeuron"),
        ("LIF", {"v_leak": 0.0, "v_reset": 0.2}, {}, "LinearNeuron"),
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0, "v_threshold": -0.1}, {}, "LinearNeuron"),
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0, "metadata": {"v_init": 2.0}}, {}, "LinearNeuron"),
        ("LIF", {"v_leak": 0.0, "v_reset": 0.0, "tau": 0.8 * DT}, {}, "LinearNeuron"),  # beta < 0: Leaky would clamp it
        ("CubaLIF", {"v_leak": 0.0, "v_reset": 0.0}, {"method": "exact"}, "LinearNeuron"),
    ],
)
def test_snntorchs_own_neuron_where_its_equation_is_ours(
    kind: str, fixed: dict[str, Any], options: dict[str, Any], stock: str
) -> None:
    d = Draw(1)
    executable = compiled(chain(d.linear(5, 4), d.neuron(kind, (5,), **fixed), given=(4,), result=(5,)), **options)
    assert kinds(executable) == [stock]


def test_a_subtract_reset_above_the_threshold_is_where_snntorch_differs() -> None:
    """v = 3.5 at threshold 1: SEMANTICS subtracts in the step of each spike and in no other."""
    beta = 0.9
    node = nir.LIF(
        tau=np.full(1, DT / (1 - beta)), r=np.full(1, 1 / (1 - beta)), v_leak=np.zeros(1), v_threshold=np.ones(1)
    )
    x = np.zeros((4, 1))
    x[0] = 3.5
    ours = compiled(chain(node, given=(1,), result=(1,)), reset="subtract").run(x, record=("spikes", "voltages"))
    assert ours.spikes["n1"][:, 0].tolist() == [True, True, True, False]
    np.testing.assert_allclose(ours.voltages["n1"][:, 0], [2.5, 1.25, 0.125, 0.1125], rtol=1e-12)
    theirs, mem = snntorch.Leaky(beta, reset_mechanism="subtract", reset_delay=False), torch.zeros(1, 1)
    fired, seen = [], []
    for current in torch.tensor(x).float():
        spk, mem = theirs(current[None], mem)
        fired.append(bool(spk))
        seen.append(float(mem[0, 0]))
    # In its third step it subtracts for the voltage it still holds, does not spike, and adds the threshold back.
    assert fired == [True, True, False, False]
    np.testing.assert_allclose(seen[:3], [2.5, 1.25, 1.125], rtol=1e-6)


def test_the_module_takes_batches_and_gives_what_run_gives() -> None:
    executable = compiled(leaky_net())
    x = train()
    recorded = executable.run(x.numpy()).output
    assert 0.05 < recorded.mean() < 0.95
    np.testing.assert_array_equal(executable.module(x).detach().numpy(), recorded)


# snnTorch's spikes are float32 in a float64 network, so its gradients are rounded to 24 bits on their way through them
# (6e-8, and what three samples and 40 steps make of it); the fused engine keeps all 53.
@pytest.mark.parametrize(("engine", "rtol"), [("steps", 1e-9), ("fused", 1e-6)])
def test_gradients_are_those_of_a_plain_snntorch_loop(engine: str, rtol: float) -> None:
    """Against torch.nn.Linear and snntorch.Leaky stepped by hand, as snnTorch's users write it."""
    net = leaky_net(tau=np.full(7, 8e-3), r=np.full(7, 8.0))
    executable = compiled(net, surrogate="fast_sigmoid", engine=engine)
    x = train().double()
    executable.module(x).pow(2).sum().backward()
    ours = next(executable.module.parameters())
    weight = torch.tensor(ours.detach().numpy(), requires_grad=True)
    threshold = torch.tensor(executable.program.by_name["n2"].threshold)
    leaky = snntorch.Leaky(
        1 - DT / 8e-3, threshold, snntorch.surrogate.fast_sigmoid(), reset_mechanism="zero", reset_delay=False
    ).double()
    mem, total = torch.zeros(3, 7, dtype=torch.float64), 0.0
    for x_t in x:
        spk, mem = leaky(x_t @ weight.T, mem)
        total = total + spk.pow(2).sum()
    total.backward()
    assert weight.grad.abs().max() > 1e-3
    torch.testing.assert_close(ours.grad, weight.grad, rtol=rtol, atol=rtol * float(weight.grad.abs().max()))


@pytest.mark.parametrize("surrogate", ["atan", "fast_sigmoid", "sigmoid", "straight_through_estimator"])
def test_every_kind_of_neuron_passes_gradients(surrogate: str) -> None:
    d = Draw(8)
    nodes = {
        "input": inp(6), "a": d.affine(8, 6), "cuba": d.neuron("CubaLIF", (8,)), "b": d.linear(5, 8), "lif": d.lif(5),
        "c": d.linear(3, 5), "li": d.neuron("LI", (3,)), "output": out(3),
    }  # fmt: skip
    g = graph(nodes, "input > a > cuba > b > lif > c > li > output")
    module = compiled(g, surrogate=surrogate).module
    module(train()).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_training_lowers_the_loss_and_goes_back_to_nir(tmp_path: Path) -> None:
    torch.manual_seed(0)
    g = leaky_net()
    g.metadata["dt"] = DT
    executable = hasn.compile(g, "snntorch", precision="float32", reset="subtract")
    x, wanted = train((30, 16, 6)).float(), torch.randint(0, 7, (16,))
    optimizer = torch.optim.Adam(executable.module.parameters(), lr=0.05)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(executable.module(x).sum(0), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    before = np.asarray(g.nodes["n1"].weight).copy()
    hasn.save(executable.to_nir(), tmp_path / "trained.nir")
    np.testing.assert_array_equal(g.nodes["n1"].weight, before)  # the caller's graph is not changed
    again = hasn.compile(hasn.load(tmp_path / "trained.nir"), "snntorch", precision="float32")  # reset is in the file
    np.testing.assert_array_equal(again.run(x.numpy()).output, executable.module(x).detach().numpy())
    assert not np.array_equal(again.run(x.numpy()).output, hasn.compile(g, "snntorch").run(x.numpy()).output)


def test_state_dict_travels_between_modules_of_one_graph() -> None:
    one, other = compiled(leaky_net()), compiled(leaky_net())
    with torch.no_grad():
        next(iter(one.module.parameters())).mul_(1.3)
    x = train()
    assert not torch.equal(one.module(x), other.module(x))
    other.module.load_state_dict(one.module.state_dict())
    assert torch.equal(one.module(x), other.module(x))
    assert "nodes.n1.weight" in one.module.state_dict()


def test_several_inputs_and_outputs_are_mappings() -> None:
    d = Draw(4)
    inputs = {"a": inp(3), "b": inp(2), "wa": d.linear(4, 3), "wb": d.linear(4, 2)}
    nodes = {**inputs, "lif": d.lif(4), "li": d.neuron("LI", (4,)), "spikes": out(4), "smooth": out(4)}
    g = graph(nodes, "a > wa > lif > spikes", "b > wb > lif > li > smooth")
    executable = compiled(g)
    x = {"a": train((20, 2, 3)), "b": train((20, 2, 2), 3)}
    results = executable.module(x)
    recorded = executable.run({name: value.numpy() for name, value in x.items()})
    assert set(results) == {"spikes", "smooth"}
    for name, value in results.items():
        assert value.abs().max() > 0.1
        np.testing.assert_array_equal(value.detach().numpy(), recorded.outputs[name])
    with pytest.raises(InputError, match="one tensor for each Input"):
        executable.module(x["a"])


def test_names_that_torch_does_not_take() -> None:
    d = Draw(6)
    nodes = {
        "input": inp(3),
        "type": d.linear(4, 3),
        "a.b": d.lif(4),
        "forward": d.linear(2, 4),
        "a__b": d.lif(2),
        "output": out(2),
    }
    net = graph(nodes, "input > type > a.b > forward > a__b > output")
    executable, x = compiled(net), train((30, 3)).numpy()
    found, wanted = executable.run(x).spikes, ProgramInterpreter(hasn.lower(net, dt=DT)).run(x.astype(float)).spikes
    assert set(found) == {"a.b", "a__b"}
    for name, spikes in wanted.items():
        assert 0 < spikes.sum() < spikes.size
        np.testing.assert_array_equal(found[name], spikes)
    assert executable.module.node("a.b") is not executable.module.node("a__b")


def test_nodes_whose_names_torch_takes_for_one_keep_their_parameters() -> None:
    d, names = Draw(6), ("a.b", "a__b", "type", "a__b_")
    nodes = {"input": inp(3), **{name: d.linear(3, 3) for name in names}, "output": out(3)}
    module = compiled(graph(nodes, f"input > {' > '.join(names)} > output")).module
    assert len(module.nodes) == 4
    keys = {f"nodes.{key}.weight" for key in ("a__b", "a__b_", "type_", "a__b__")}
    assert set(module.state_dict()) == keys
    for name in names:
        weight = module.node(name).weight
        assert any(weight is parameter for parameter in module.parameters())
        np.testing.assert_array_equal(weight.detach().numpy(), nodes[name].weight)


def test_a_used_module_can_be_copied_and_lets_go_of_its_neurons() -> None:
    before = len(snntorch.SpikingNeuron.instances)
    executable = compiled(leaky_net())
    executable.module(train()).sum().backward()
    twin = copy.deepcopy(executable.module)
    assert torch.equal(twin(train()), executable.module(train()))
    del twin
    gc.collect()
    assert len(snntorch.SpikingNeuron.instances) == before


def test_options_that_are_not_there() -> None:
    for options, words in [
        ({"device": "quantum"}, "device.*got 'quantum'"),
        ({"surrogate": "square"}, "unknown surrogate gradient; got 'square'; wanted atan"),
        ({"dtype": "int8"}, "no such dtype"),
        ({"colour": 3}, "snntorch has no such option"),
    ]:
        with pytest.raises(OptionError, match=words):
            compiled(leaky_net(), **options)


def test_dtype_is_another_way_to_say_precision() -> None:
    executable = compiled(leaky_net(), dtype=torch.float32)
    assert executable.precision == "float32"
    assert executable.module(train()).dtype == torch.float32
