"""Quantisation-aware training through `hasn.quantise(..., train=...)`: it gets back what rounding lost, keeps to the
grid and to what stays fixed, and says what is wrong with its input."""

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.train import Training
from hasn.errors import InputError, OptionError, ParameterError, UnsupportedError
from tests.unit.conversions.loihi.nets import chain, cuba, float_run, lif, spikes, weights

torch = pytest.importorskip("torch")

GRAPH = chain((8,), nir.Linear(weights(10, 8)), lif(10), nir.Linear(weights(4, 10, 1)), lif(4))
INPUTS, LABELS = spikes(8, batch=20, seed=3), np.arange(20) % 4


def trained(graph=GRAPH, inputs=INPUTS, labels=LABELS, training=None, **options):
    training = {"epochs": 3, "batch": 10, "learning_rate": 0.1, **(training or {})}
    calibrate = options.pop("calibrate", inputs)
    return hasn.quantise(graph, calibrate=calibrate, train=Training(inputs, labels, **training), **options)


def matrices(made):
    return [p.weights.toarray() for p in made.integers.projections]


# --- what it is for


def patterns(samples, seed):
    """Noisy rate patterns of six classes: (T, N, 24) spikes and classes."""
    rates = np.random.default_rng(0).choice([0.05, 0.4], (6, 24))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, samples)
    return (rng.random((15, samples, 24)) < rates[labels]).astype(float), labels


def float_network():
    """24-20-6 LIF, trained in floats."""
    rng = np.random.default_rng(2)
    graph = chain(
        (24,), nir.Linear(rng.normal(0, 0.3, (20, 24))), lif(20), nir.Linear(rng.normal(0, 0.3, (6, 20))), lif(6)
    )
    executable = hasn.compile(graph, "snntorch", precision="float32")
    x, y = (torch.as_tensor(a) for a in patterns(300, seed=1))
    optimizer = torch.optim.Adam(executable.module.parameters(), lr=0.01)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(executable.module(x.float()).sum(0), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return executable.to_nir()


def test_training_gets_back_what_two_bits_lose():
    graph = float_network()
    (x, y), (test_x, test_y) = patterns(300, seed=1), patterns(400, seed=4)

    def accuracy(executable):
        return np.mean(executable.run(test_x).output.sum(0).argmax(-1) == test_y)

    exact = accuracy(hasn.compile(graph, "snntorch"))
    rounded = hasn.quantise(graph, calibrate=x, weight_bits=2)
    made = hasn.quantise(graph, calibrate=x, weight_bits=2, train=Training(x, y, epochs=8, batch=50))
    # Rounding to three levels loses a good part, training gets nine tenths of that back, on data that it never saw.
    before, after = accuracy(rounded.compile()), accuracy(made.compile())
    assert before < exact - 0.1
    assert after > before + 0.9 * (exact - before)
    assert all(len(np.unique(w)) <= 3 for w in matrices(made))


# --- what stays, what changes


def test_scales_exponents_decays_and_thresholds_stay():
    before, after = hasn.quantise(GRAPH, calibrate=INPUTS, weight_bits=4), trained(weight_bits=4)
    assert before.scales.keys() == after.scales.keys()
    for name, scale in before.scales.items():
        assert np.array_equal(scale.scale, after.scales[name].scale)
    for name, p in before.integers.populations.items():
        for register in ("du", "dv", "vth"):
            assert np.array_equal(getattr(p, register), getattr(after.integers.populations[name], register))
    for i, (one, other) in enumerate(zip(matrices(before), matrices(after), strict=True)):
        exponent = before.report().weights[i].exponent
        assert after.report().weights[i].exponent == exponent
        assert np.any(one != other)
        assert not np.any(other % ((2 << 4) << exponent))  # 4 of 8 bits, both signs
        assert np.abs(other).max() <= 224 << exponent
        assert len(after.integers.projections[i].parts) == 1


def test_the_report_and_the_dequantised_graph_are_of_the_trained_weights():
    made = trained(weight_bits=4)
    for node, row in (("n0", made.report().weights[0]), ("n2", made.report().weights[1])):
        chip, volts = made.graph.nodes[node].weight, made.dequantised().nodes[node].weight
        target = "n1" if node == "n0" else "n3"
        assert volts == pytest.approx(chip * 64 / made.scales[target].scale[0], rel=1e-12)
        assert row.node == node
        assert row.levels == len(np.unique(chip))
        assert 0 < row.error < 0.3  # of the weights before rounding, as trained: 15 levels
    integers = made.compile().run(INPUTS).spikes
    floats = float_run(made.dequantised(), INPUTS)
    for name in ("n1", "n3"):  # rounding of decays apart, as in test_quantise
        found = integers[name].swapaxes(1, 2)
        assert np.count_nonzero(found != (floats[name] > 0.5)) <= 0.03 * found.sum()


def test_zeros_stay_and_a_sign_stays():
    sparse = np.where(np.random.default_rng(5).random((10, 8)) < 0.5, weights(10, 8), 0.0)
    negative = -np.abs(weights(10, 8, 6, size=0.1))
    graph = chain((8,), nir.Linear(sparse), lif(10), nir.Linear(np.abs(weights(4, 10, 1))), lif(4))
    graph.nodes["other"] = nir.Linear(negative)
    graph.edges += [("input", "other"), ("other", "n1")]
    before, after = hasn.quantise(graph, calibrate=INPUTS, weight_bits=3), trained(graph, weight_bits=3)
    found = after.graph.nodes
    assert np.all(found["n0"].weight[sparse == 0] == 0)
    assert np.all(found["n2"].weight >= 0)
    assert np.all(found["other"].weight <= 0)
    for node in ("n0", "n2", "other"):
        assert np.any(found[node].weight != before.graph.nodes[node].weight)


def test_the_seed_decides():
    one, again, other = (matrices(trained(weight_bits=4, seed=seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_pair_is_enough_and_progress_is_told():
    told = []
    made = hasn.quantise(
        GRAPH, calibrate=INPUTS, weight_bits=3, train=(INPUTS, LABELS), progress=lambda *said: told.append(said)
    )
    assert [said for said in told if said[0] == "training"] == [("training", i + 1, 10) for i in range(10)]
    plain = hasn.quantise(GRAPH, calibrate=INPUTS, weight_bits=3)
    assert any(np.any(a != b) for a, b in zip(matrices(made), matrices(plain), strict=True))


def test_inputs_may_be_coded_anew_at_every_epoch():
    asked = []

    def coded(epoch):
        asked.append(epoch)
        return spikes(8, batch=20, seed=10 + epoch)

    fresh = trained(inputs=coded, calibrate=INPUTS, weight_bits=3)
    fixed = trained(inputs=coded(0), calibrate=INPUTS, weight_bits=3)
    assert asked[:3] == [0, 1, 2]
    assert any(np.any(a != b) for a, b in zip(matrices(fresh), matrices(fixed), strict=True))


# --- losses


def readout(n, leak=0.0):
    """LI neurons whose voltage rises by its weight at a spike."""
    return nir.LI(np.full(n, 20e-3), np.full(n, 20.0), np.full(n, leak))


def test_voltages_of_a_readout_are_told_apart():
    """Six classes that an untrained network knows nothing of; chance is 1/6."""
    graph = chain((24,), nir.Linear(weights(20, 24)), lif(20), nir.Linear(weights(6, 20, 1)), readout(6))
    x, y = patterns(200, seed=1)
    test_x, test_y = patterns(200, seed=4)
    made = trained(graph, x, y, training={"epochs": 6, "batch": 20}, headroom=8.0, weight_bits=4)
    assert np.mean(made.compile().run(test_x).output.max(0).argmax(-1) == test_y) > 0.7


def test_a_loss_of_ones_own_gets_spikes_or_volts():
    graph = chain((8,), nir.Linear(weights(6, 8)), cuba(6), nir.Linear(weights(3, 6)), readout(3, leak=0.5))
    heard = []

    def loss(outputs, labels):
        heard.append((outputs.detach().numpy(), labels.numpy()))
        return (outputs.mean(0)[:, 0] - labels).square().mean()

    wanted = np.linspace(0.0, 1.0, 20)
    trained(graph, labels=wanted, training={"loss": loss, "batch": 20, "epochs": 1})
    (volts, labels), made = heard[0], hasn.quantise(graph, calibrate=INPUTS)
    order = np.array([int(np.flatnonzero(wanted == label)[0]) for label in labels])
    assert volts == pytest.approx(made.volts("n3", made.compile().run(INPUTS[:, order]).output), rel=1e-12)


# --- what is refused

NOT_FINITE = {"loss": lambda outputs, labels: outputs.sum() * float("nan")}
BAD = {
    "too few samples": ({"labels": LABELS[:-1]}, InputError, "samples"),
    "no such class": ({"labels": LABELS + 1}, InputError, "no such class"),
    "negative class": ({"labels": LABELS - 1}, InputError, "no such class"),
    "no classes": ({"labels": LABELS + 0.5}, InputError, "no classes"),
    "ragged labels": ({"labels": [[1], [2, 3]]}, InputError, "not an array"),
    "another width": ({"inputs": INPUTS[..., :5], "calibrate": INPUTS}, InputError, "wrong shape"),
    "no batch axis": ({"inputs": INPUTS[:, 0], "calibrate": INPUTS}, InputError, "as many samples"),
    "not finite inputs": ({"inputs": np.where(INPUTS > 0, np.nan, 0), "calibrate": INPUTS}, InputError, "not finite"),
    "no integers": ({"inputs": INPUTS * 0.5, "calibrate": INPUTS}, InputError, "these are not"),
    "beyond 24 bits": ({"inputs": INPUTS * 2.0**23, "calibrate": INPUTS}, InputError, "24 bits"),
    "unknown loss": ({"training": {"loss": "hinge"}}, OptionError, "no such loss"),
    "wrong loss": ({"training": {"loss": "voltage"}}, OptionError, "spikes"),
    "not finite": ({"training": NOT_FINITE}, OptionError, "not finite at batch 1"),
    "no scalar": ({"training": {"loss": lambda o, y: o}}, OptionError, "no scalar"),
    "no gradient": ({"training": {"loss": lambda o, y: o.detach().sum()}}, OptionError, "no scalar"),
    "no epochs": ({"training": {"epochs": 0}}, OptionError, "epochs"),
    "no rate": ({"training": {"learning_rate": float("inf")}}, OptionError, "learning_rate"),
    "unknown surrogate": ({"training": {"surrogate": "step"}}, OptionError, "surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    options, error, text = BAD[case]
    with pytest.raises(error, match=text):
        trained(**options)


def test_something_else_than_training_data_is_named():
    with pytest.raises(OptionError, match="train"):
        hasn.quantise(GRAPH, calibrate=INPUTS, train=INPUTS)


def test_nothing_to_train_is_named():
    with pytest.raises(OptionError, match="no weights to train"):
        trained(chain((4,), lif(4)), inputs=spikes(4, batch=20))


def test_a_network_that_training_drives_out_of_range_is_refused():
    graph = chain((8,), nir.Linear(weights(4, 8)), readout(4))
    with pytest.raises(UnsupportedError, match="after training"):
        trained(graph, training={"loss": lambda outputs, labels: -outputs.sum(), "epochs": 20}, headroom=1.0)


def test_a_node_that_training_silences_is_refused():
    graph = chain((8,), nir.Linear(np.abs(weights(4, 8))), lif(4))
    training = {"loss": lambda outputs, labels: outputs.sum(), "epochs": 40, "batch": 20, "learning_rate": 0.3}
    with pytest.raises(ParameterError, match="taken away all its weights"):
        trained(graph, inputs=INPUTS[:20], training=training, weight_bits=2)
