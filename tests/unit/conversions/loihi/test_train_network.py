"""The module that trains: forwards it is precision "loihi" bit for bit, backwards it goes straight through."""

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.train import Training
from hasn.conversions.loihi.train import network as train_network
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.model import DECAY_BITS
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import interpret
from tests.edges import assert_together, inputs_together, together
from tests.unit.conversions.loihi.nets import DT, chain, cuba, lif, spikes, weights

torch = pytest.importorskip("torch")


def states_of(module, inputs, populations):
    """{population: [u, v] or [v], each (T, batch, *shape)} and {population: spikes}."""
    first = next(iter(inputs.values()))
    state, states, sent = module.start(first.shape[1]), {}, {}
    with torch.no_grad():
        for t in range(len(first)):
            values = module.advance({name: torch.as_tensor(x[t]) for name, x in inputs.items()}, state)
            for name in populations:
                states.setdefault(name, []).append([s.numpy() for s in state.states[name]])
                sent.setdefault(name, []).append(values[name].numpy())
    kept = {name: [np.stack(part) for part in zip(*found, strict=True)] for name, found in states.items()}
    return kept, {name: np.stack(found) for name, found in sent.items()}


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_run_as_the_reference_does(seed):
    """Wraps and clips, delays, recurrence, several Inputs and graded spikes among them: all u, v and spikes."""
    timing = ("synchronous", "hardware")[seed // 2 % 2]
    graph = random_chip_graph(seed)
    made = QuantisedNetwork.of_graph(graph, timing=timing)
    inputs = random_chip_inputs(graph, seed, steps=15, batch=2, graded=seed % 2 == 1)
    expected = interpret(graph, inputs, timing=timing)
    module = train_network.chip_module(
        made.integers.network.program, made.integers, train_network.spike_gradient("atan")
    )  # fmt: skip
    states, sent = states_of(module, inputs, made.integers.populations)
    for name, population in made.integers.populations.items():
        assert np.array_equal(states[name][-1], expected.v[name])
        if len(states[name]) == 2:
            assert np.array_equal(states[name][0], expected.u[name])
        if population.spiking:
            assert np.array_equal(sent[name] > 0, expected.spikes[name])


def test_the_ends_of_the_registers_by_hand():
    made = QuantisedNetwork.of_graph(together())
    program = made.integers.network.program
    module = train_network.chip_module(program, made.integers, train_network.spike_gradient("atan"))
    inputs = {name: x[:, None] for name, x in inputs_together().items()}
    states, sent = states_of(module, inputs, made.integers.populations)
    u, v = ({name: found[i][:, 0] for name, found in states.items()} for i in (0, -1))
    assert_together(u, v, {"n": sent["n"][:, 0]})
    assert np.array_equal(sent["r"][:, 0], v["r"])


def several_inputs():
    graph = chain((8,), nir.Linear(weights(10, 8)), lif(10), nir.Linear(weights(4, 10, 1)), lif(4))
    graph.nodes |= {"second": nir.Input(np.array([5])), "w": nir.Linear(weights(10, 5, 2))}
    graph.edges += [("second", "w"), ("w", "n1")]
    return graph, {"input": spikes(8), "second": spikes(5, seed=2)}


def recurrent():
    graph = chain((8,), nir.Affine(weights(10, 8, size=0.8), weights(10, 1)[:, 0]), cuba(10, w_in=4.0))
    graph.nodes |= {"back": nir.Linear(weights(10, 10, 3, 0.2)), "late": nir.Delay(np.full(10, 2 * DT))}
    graph.edges += [("n1", "back"), ("back", "late"), ("late", "n1")]
    return graph, {"input": spikes(8)}


def convolution():
    conv = nir.Conv2d((8, 8), weights(36, 1).reshape(4, 1, 3, 3), 1, 0, 1, 1, weights(4, 1)[:, 0])
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = nir.Flatten({"input": np.array([4, 3, 3])}, start_dim=0)
    graph = chain((1, 8, 8), conv, lif((4, 6, 6), tau=10e-3), pool, flat, nir.Linear(weights(5, 36, 2)), lif(5))
    return graph, {"input": spikes((1, 8, 8), steps=20)}


def composed():
    inner = nir.Affine(weights(7, 8), weights(7, 1)[:, 0])
    return chain((8,), inner, nir.Linear(weights(6, 7, 3)), lif(6), nir.Scale(np.linspace(0.5, 2, 6)), lif(6)), {
        "input": spikes(8)
    }


def shared():
    """A node that leads into two populations: on the chip, two nodes."""
    graph = chain((8,), nir.Linear(weights(6, 8)), lif(6, leak=0.2), nir.Linear(weights(4, 6)), lif(4))
    graph.nodes["twin"] = cuba(6, w_in=2.0)
    graph.nodes["from_twin"] = nir.Linear(weights(4, 6, 5))
    graph.edges += [("n0", "twin"), ("twin", "from_twin"), ("from_twin", "n3")]
    return graph, {"input": spikes(8)}


NETWORKS = {f.__name__: f for f in (several_inputs, recurrent, convolution, composed, shared)}


@pytest.mark.parametrize(
    ("name", "rounding"),
    [*((name, "nearest") for name in NETWORKS), ("recurrent", "truncate"), ("composed", "stochastic")],
)
def test_the_quantised_network_is_what_was_trained(name, rounding, monkeypatch):
    """Before training the module computes what post-training quantisation gives, and afterwards what is handed back."""
    graph, inputs = NETWORKS[name]()
    kept, heard = [], []
    whole = train_network.TrainedNetwork.result
    monkeypatch.setattr(
        train_network.TrainedNetwork, "result", lambda self, *given: (kept.append(self), whole(self, *given))[1]
    )

    def loss(outputs, labels):
        heard.append((outputs.detach().numpy(), labels.numpy()))
        return (outputs.mean((0, *range(2, outputs.ndim))) - 0.3).square().mean()

    training = Training(inputs, np.arange(4), epochs=6, batch=4, learning_rate=0.2, loss=loss)
    options = {"calibrate": inputs, "weight_bits": 4, "rounding": rounding, "headroom": 4.0}
    before, after = hasn.quantise(graph, **options), hasn.quantise(graph, train=training, **options)
    outputs, order = heard[0]
    assert outputs.any()
    assert np.array_equal(before.compile().run({n: x[:, order] for n, x in inputs.items()}).output, outputs)
    recorded = after.compile().run(inputs, record=("spikes", "voltages", "currents"))
    states, sent = states_of(kept[0].module, inputs, after.integers.populations)
    for population in after.integers.populations:
        assert np.array_equal(sent[population] > 0, recorded.spikes[population])
        assert np.array_equal(states[population][-1], recorded.voltages[population])
    one, other = (
        {n: getattr(found, "weight", getattr(found, "scale", None)) for n, found in made.graph.nodes.items()}
        for made in (before, after)
    )
    assert set(kept[0]._weights) == {n for n in one if one[n] is not None and np.any(one[n] != other[n])}


def test_biases_are_trained_where_they_are():
    bias = np.array([0.1, 0.0, -0.2, 0.3])
    inputs, labels = spikes(8, batch=20), np.arange(20) % 4
    for neurons in (lif(4), cuba(4, w_in=4.0)):  # in the bias register; as input to the current
        graph = chain((8,), nir.Affine(weights(4, 8), bias), neurons)
        options = {"calibrate": inputs, "headroom": 4.0}
        before = hasn.quantise(graph, **options).integers.populations["n1"]
        train = Training(inputs, labels, epochs=5, learning_rate=0.1)
        made = hasn.quantise(graph, train=train, **options)
        after = made.integers.populations["n1"]
        register = lambda p: p.drives[0] if p.drives else p.bias  # noqa: E731
        assert np.any(register(before) != register(after))
        # What it is in volts agrees with the chip: per step into the voltage, or through the current.
        volts = made.dequantised().nodes
        if after.drives:
            per_unit = made.graph.nodes["n0"].weight[0] / volts["n0"].weight[0]
            assert volts["n0"].bias * per_unit[0] == pytest.approx(after.drives[0], rel=1e-9)
        else:
            leak = volts["n1"].v_leak * DT / volts["n1"].tau * made.scales["n1"].scale
            assert leak == pytest.approx(after.bias, rel=1e-9)
    plain = chain((8,), nir.Linear(weights(4, 8)), lif(4))
    made = hasn.quantise(plain, calibrate=inputs, train=Training(inputs, labels, epochs=2))
    assert not made.integers.populations["n1"].bias.any()


# --- the backward pass


def test_gradients_go_straight_through_decays_and_grids():
    """dv[T]/dx[s] of a readout is 64 * sum of products of what u and v keep; truncation adds nothing to it."""
    du, dv, steps = 900, 300, 6
    graph = chain((1,), nir.Linear(np.array([[6.0]])), chip_neuron((1,), dt=DT, du=du, dv=dv))
    made = QuantisedNetwork.of_graph(graph)
    module = train_network.chip_module(
        made.integers.network.program, made.integers, train_network.spike_gradient("atan")
    )  # fmt: skip
    x = torch.ones(steps, 1, 1, dtype=torch.float64, requires_grad=True)
    module(x)[-1].sum().backward()
    unity = 1 << DECAY_BITS
    a, b = (unity - du - 1) / unity, (unity - dv) / unity
    expected = [6 * 64 * sum(a**i * b ** (steps - 1 - s - i) for i in range(steps - s)) for s in range(steps)]
    assert x.grad[:, 0, 0].tolist() == pytest.approx(expected, rel=1e-12)


def test_the_spike_has_the_surrogates_gradient_in_units_of_the_threshold():
    """v = 64 w x, z' = surrogate'(v / theta - 1) / theta: the same at any scale."""
    gradients = []
    for factor in (1, 8):
        graph = chain((1,), nir.Linear(np.array([[10.0 * factor]])), chip_neuron((1,), dt=DT, dv=100, vth=20 * factor))
        made = QuantisedNetwork.of_graph(graph)
        module = train_network.chip_module(
            made.integers.network.program, made.integers, train_network.spike_gradient("atan")
        )  # fmt: skip
        x = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
        module(x).sum().backward()
        gradients.append(float(x.grad))
    # snntorch's atan with alpha = 2: 1 / (1 + (pi y)^2) at y = v/theta - 1 = -0.5; times dv/dx / theta = 0.5
    assert gradients == pytest.approx([0.5 / (1 + (np.pi * 0.5) ** 2)] * 2, rel=1e-6)


def test_a_weights_grid_rounds_clips_and_passes_gradients():
    grid = train_network.WeightGrid(8.0, 4.0, np.array([-8.0, -8.0, 0.0, 0.0]), np.array([8.0, 8.0, 8.0, 0.0]))
    p = torch.tensor([0.8, -3.0, -1.0, 0.7], dtype=torch.float64, requires_grad=True)
    found = grid(p)
    assert found.tolist() == [8.0, -8.0, 0.0, 0.0]
    found.sum().backward()
    assert p.grad.tolist() == [8.0] * 4
    grid.keep_within(p.data)
    assert p.tolist() == [0.8, -1.0, 0.0, 0.0]
