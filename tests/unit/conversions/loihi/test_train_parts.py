"""Training's parts by hand: options, batches of integers, losses in spikes and volts, grids, and what is refused."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.network import QuantisedNetwork, Scale
from hasn.conversions.loihi.quantising.connect import Weights
from hasn.conversions.loihi.quantising.rounding import Rounding
from hasn.conversions.loihi.train import Training
from hasn.conversions.loihi.train import entry as module
from hasn.conversions.loihi.train.training import TrainingData
from hasn.errors import InputError, OptionError
from hasn.program.integers.encode import chip_neuron
from tests.graphs import graph, inp, out
from tests.unit.conversions.loihi.nets import DT, chain, lif, spikes, weights

torch = pytest.importorskip("torch")
loop = pytest.importorskip("hasn.conversions.loihi.train.loop")
network = pytest.importorskip("hasn.conversions.loihi.train.network")


def chip(readout: bool = False, inputs: int = 1, outputs: int = 1, **scales: float) -> QuantisedNetwork:
    """Inputs of 2 elements, then three neurons of weights 100 and 50 and threshold 120, or that do not spike."""
    neuron = chip_neuron((3,), dt=DT, dv=1024, vth=None if readout else 120)
    nodes: dict[str, Any] = {"n": neuron}
    paths = []
    for i in range(inputs):
        nodes |= {f"x{i}": inp(2), f"w{i}": nir.Linear(np.array([[100.0, 50.0], [0.0, 50.0], [100.0, 0.0]]))}
        paths.append(f"x{i} > w{i} > n")
    for i in range(outputs):
        nodes[f"o{i}"] = out(3)
        paths.append(f"n > o{i}")
    scale = Scale(np.full(3, 640.0), np.array([0.0, 0.5, -1.0]))
    return QuantisedNetwork(graph(nodes, *paths, dt=DT), "loihi2", DT, scales={"n": scale}, input_scales=scales)


X = (np.random.default_rng(0).random((6, 7, 2)) < 0.6).astype(float)
Y = np.arange(7) % 3


def data(made: QuantisedNetwork | None = None, inputs: Any = X, labels: Any = Y, **options: Any) -> TrainingData:
    return TrainingData(made or chip(), Training(inputs, labels, **options))


# --- options


@pytest.mark.parametrize(
    ("options", "parameter", "wanted"),
    [
        ({"epochs": 0}, "epochs", "an integer >= 1"),
        ({"epochs": True}, "epochs", "an integer >= 1"),
        ({"epochs": 2.0}, "epochs", "an integer >= 1"),
        ({"batch": 0}, "batch", "an integer >= 1"),
        ({"batch": "4"}, "batch", "an integer >= 1"),
        ({"learning_rate": 0}, "learning_rate", "a number > 0"),
        ({"learning_rate": -0.1}, "learning_rate", "a number > 0"),
        ({"learning_rate": float("nan")}, "learning_rate", "a number > 0"),
        ({"learning_rate": float("inf")}, "learning_rate", "a number > 0"),
        ({"learning_rate": True}, "learning_rate", "a number > 0"),
        ({"learning_rate": "1"}, "learning_rate", "a number > 0"),
        ({"loss": "hinge"}, "loss", "rate, voltage, None, or a function"),
        ({"loss": 3}, "loss", "rate, voltage, None, or a function"),
    ],
)
def test_what_is_no_option(options: dict[str, Any], parameter: str, wanted: str) -> None:
    with pytest.raises(OptionError) as error:
        Training(X, Y, **options)
    assert (error.value.parameter, error.value.wanted) == (f"train.{parameter}", wanted)
    assert error.value.got == repr(options[parameter])


def test_the_smallest_numbers_and_numpys_own_are_taken() -> None:
    made = Training(X, Y, epochs=np.int64(1), batch=1, learning_rate=np.float32(1e-9), loss="rate")  # type: ignore[arg-type]
    assert (made.epochs, made.batch, made.loss) == (1, 1, "rate")
    assert Training(X, Y, loss=len).loss is len
    assert (Training(X, Y).epochs, Training(X, Y).batch, Training(X, Y).learning_rate) == (10, 100, 0.02)


def test_a_pair_is_training_data_and_a_triple_is_not() -> None:
    for pair in ((X, Y), [X, Y]):
        made = module._of_pair(pair)
        assert (made.inputs is X, made.labels is Y) == (True, True)
    for wrong in ((X, Y, 3), X, "ab"):
        with pytest.raises(OptionError, match="not what training takes") as error:
            module._of_pair(wrong)
        assert (error.value.parameter, error.value.got) == ("train", type(wrong).__name__)
        assert str(error.value.wanted).startswith("(inputs, labels) or ")


# --- batches


def test_batches_go_through_the_samples_in_the_order_asked_for() -> None:
    made = data(batch=3)
    assert (made.samples, made.batches) == (7, 3)
    assert data(batch=7).batches == 1
    assert data(batch=8).batches == 1
    order = np.array([6, 0, 3, 2, 5, 1, 4])
    found = list(made.epoch(0, order))
    assert [labels.tolist() for _, labels in found] == [Y[[6, 0, 3]].tolist(), Y[[2, 5, 1]].tolist(), Y[[4]].tolist()]
    for i, (inputs, _) in enumerate(found):
        np.testing.assert_array_equal(inputs["x0"], X[:, order[3 * i : 3 * i + 3]])


def test_real_inputs_are_scaled_and_rounded_and_integers_checked() -> None:
    scaled = data(chip(x0=10.0), inputs=X * 0.26)
    (inputs, _), *_ = scaled.epoch(0, np.arange(7))
    np.testing.assert_array_equal(inputs["x0"], 3.0 * X)
    with pytest.raises(InputError, match="these are not") as error:
        data(inputs=np.where(X > 0, 0.5, 0.0))
    assert (error.value.node, error.value.parameter, error.value.got) == ("x0", "train.inputs", 0.5)
    assert error.value.wanted == "data of the same kind"
    data(inputs=X * (2.0**23 - 1))
    with pytest.raises(InputError, match="24 bits") as error:
        data(inputs=X * -(2.0**23))
    assert (error.value.node, error.value.got, error.value.wanted) == ("x0", 2.0**23, "within +-8.38861e+06")
    with pytest.raises(InputError, match="24 bits") as error:
        data(chip(x0=2.0**20), inputs=X * 8.0)
    assert (error.value.got, error.value.wanted) == (8.0, "within +-8")


def test_every_sample_is_checked_before_training() -> None:
    """Samples are looked at in pieces of 256: what is wrong with the last of them is found too."""
    many = np.zeros((2, 300, 2))
    many[1, 299, 1] = 0.5
    with pytest.raises(InputError, match="these are not"):
        data(inputs=many, labels=np.zeros(300, dtype=int))
    many[1, 299, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        data(inputs=many, labels=np.zeros(300, dtype=int))


def test_a_function_of_the_epoch_is_asked_once_an_epoch() -> None:
    asked: list[int] = []

    def coded(epoch: int) -> Any:
        asked.append(epoch)
        return X * epoch

    made = data(inputs=coded, batch=7)
    for epoch in (0, 0, 2):
        ((inputs, _),) = made.epoch(epoch, np.arange(7))
        np.testing.assert_array_equal(inputs["x0"], X * epoch)
    assert asked == [0, 2]
    fixed = data(inputs=X, batch=7)
    np.testing.assert_array_equal(next(iter(fixed.epoch(5, np.arange(7))))[0]["x0"], X)


def test_several_inputs_are_given_by_name() -> None:
    two = chip(inputs=2)
    ((inputs, _),) = data(two, inputs={"x0": X, "x1": torch.as_tensor(1 - X)}, batch=7).epoch(0, np.arange(7))
    np.testing.assert_array_equal(inputs["x1"], 1 - X)
    np.testing.assert_array_equal(inputs["x0"], X)
    with pytest.raises(InputError, match="so one array is not enough; wanted a mapping with x0, x1"):
        data(two, inputs=X)
    with pytest.raises(InputError, match="the Input has no data; wanted one array for each of x0, x1"):
        data(two, inputs={"x0": X})
    with pytest.raises(InputError, match="as many samples as labels") as error:
        data(two, inputs={"x0": X, "x1": X[:, :5]})
    assert (error.value.node, error.value.parameter, error.value.got) == ("x1", "train.inputs", (6, 5, 2))
    assert error.value.wanted == "(T, 7, *shape): time, samples, neurons"
    with pytest.raises(InputError, match="as many samples as labels"):
        data(inputs=X[0, :, 0])
    with pytest.raises(InputError, match="not an array") as error:
        data(inputs={"x0": [[1.0], [2.0, 3.0]]})
    assert error.value.parameter == "train.inputs x0"


def test_one_sample_is_a_training_set() -> None:
    one = data(inputs=X[:, :1], labels=[2])
    assert (one.samples, one.batches) == (1, 1)


@pytest.mark.parametrize("labels", [3, [], np.array(["a"] * 7), None])
def test_what_are_no_labels(labels: Any) -> None:
    with pytest.raises(InputError, match="no labels") as error:
        data(labels=labels)
    assert (error.value.parameter, error.value.wanted) == ("train.labels", "numbers (N, ...)")


# --- losses


def trained_network(made: QuantisedNetwork, **options: Any) -> Any:
    integers = made.graph.nodes["w0"].weight.astype(int)
    found = Weights(integers, 0, np.ones(1), None, None, integers.astype(float))
    return network.TrainedNetwork(made, Training(X, Y, **options), {"w0": found}, Rounding())


def outputs_of(net: Any, inputs: Any = X) -> Any:
    with torch.no_grad():
        return net.module({"x0": torch.as_tensor(inputs)})


def cross_entropy(logits: Any, labels: Any) -> float:
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return float(-np.log(exponents[np.arange(len(labels)), labels] / exponents.sum(1)).mean())


def test_the_rate_loss_is_the_cross_entropy_of_spike_counts() -> None:
    net = trained_network(chip())
    outputs = outputs_of(net)
    counts = outputs.numpy().sum(0)
    assert counts.any()
    for chosen in (None, "rate"):
        net = trained_network(chip(), loss=chosen)
        loss = loop.loss_function(net, data())
        assert float(loss(outputs, torch.as_tensor(Y))) == pytest.approx(cross_entropy(counts, Y))


def test_the_voltage_loss_is_of_the_largest_voltages_in_units_of_their_spread() -> None:
    made = chip(readout=True)
    net = trained_network(made)
    volts = loop.in_volts(net, outputs_of(net))
    chips = outputs_of(net).numpy()
    np.testing.assert_allclose(volts.numpy(), chips / 640 + [0.0, 0.5, -1.0])
    peaks = volts.numpy().max(0)
    spread = np.sqrt(np.square(peaks - peaks.mean(1, keepdims=True)).mean())
    loss = loop.loss_function(net, data(made, batch=7))
    assert float(loss(volts, torch.as_tensor(Y))) == pytest.approx(cross_entropy(peaks * 4 / spread, Y))
    # the spread is of the first batch, in the order given
    first = peaks[:3]
    spread = np.sqrt(np.square(first - first.mean(1, keepdims=True)).mean())
    assert loop._spread(net, data(made, batch=3)) == pytest.approx(spread)
    offsets = np.array([0.0, 0.5, -1.0])  # all that is left without input
    assert loop._spread(net, data(made, inputs=0 * X)) == pytest.approx(offsets.std())


def test_a_spread_of_0_counts_as_1() -> None:
    made = chip(readout=True)
    flat = QuantisedNetwork(made.graph, "loihi2", DT, scales={"n": Scale(np.full(3, 640.0), np.zeros(3))})
    assert loop._spread(trained_network(flat), data(flat, inputs=0 * X)) == 1.0


def test_several_outputs_are_a_mapping_in_volts() -> None:
    made = chip(readout=True, outputs=2)
    net = trained_network(made)
    found = loop.in_volts(net, outputs_of(net))
    assert set(found) == {"o0", "o1"}
    chips = outputs_of(net)
    np.testing.assert_allclose(found["o1"].numpy(), chips["o1"].numpy() / 640 + [0.0, 0.5, -1.0])
    spiking = trained_network(chip(outputs=2))
    for name, value in loop.in_volts(spiking, outputs_of(spiking)).items():
        np.testing.assert_array_equal(value.numpy(), outputs_of(spiking)[name].numpy())
    with pytest.raises(OptionError, match="one Output that shows a population is wanted") as error:
        loop.loss_function(net, data(made))
    assert (error.value.parameter, error.value.got) == ("train.loss", "o0, o1")
    assert error.value.way_out == "Pass a function (outputs, labels)."


@pytest.mark.parametrize(
    ("readout", "loss", "words", "wanted"),
    [(False, "voltage", "the Output spikes", "'rate'"), (True, "rate", "shows voltages, not spikes", "'voltage'")],
)
def test_a_loss_that_does_not_fit_the_output(readout: bool, loss: str, words: str, wanted: str) -> None:
    made = chip(readout=readout)
    with pytest.raises(OptionError, match=words) as error:
        loop.loss_function(trained_network(made, loss=loss), data(made))
    assert (error.value.node, error.value.got, error.value.wanted) == ("n", repr(loss), wanted)


def test_labels_are_classes_of_the_output() -> None:
    net = trained_network(chip())
    wanted = "(N,) of integers 0..2, the elements of the Output"
    loop.loss_function(net, data(labels=np.array([0, 1, 2, 2, 0, 1, 1])))
    for labels, got in ((Y * 3 // 2, 3), (Y - 1, -1)):
        with pytest.raises(InputError, match="no such class") as error:
            loop.loss_function(net, data(labels=labels))
        assert (error.value.parameter, error.value.got, error.value.wanted) == ("train.labels", got, wanted)
    for labels, got in ((Y * 1.0, "float64 (7,)"), (Y[:, None], "int64 (7, 1)"), (Y > 0, "bool (7,)")):
        with pytest.raises(InputError, match="no classes") as error:
            loop.loss_function(net, data(labels=labels))
        assert error.value.got == got


@pytest.mark.parametrize(
    ("loss", "words", "got"),
    [
        (torch.ones(2, requires_grad=True), "no scalar tensor", "shape (2,), requires_grad True"),
        (torch.tensor(1.0), "no scalar tensor", "shape (), requires_grad False"),
        (3.0, "no scalar tensor", 3.0),
        (torch.tensor(float("inf"), requires_grad=True), "not finite at batch 5", float("inf")),
    ],
)
def test_a_loss_that_is_none(loss: Any, words: str, got: Any) -> None:
    with pytest.raises(OptionError, match=words) as error:
        loop._check(loss, 4)
    assert (error.value.parameter, error.value.got) == ("train.loss", got)


# --- the loop


def test_the_rate_falls_to_0_with_a_cosine_and_batches_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    whole = torch.optim.Adam.step

    def step(self: Any, *given: Any, **options: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return whole(self, *given, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    told: list[Any] = []
    net = trained_network(chip(), epochs=2, batch=3, learning_rate=0.5)
    loop.run_training(net, data(batch=3), 0, lambda *said: told.append(said))
    assert told == [("training", i + 1, 6) for i in range(6)]
    assert rates == pytest.approx([0.25 * (1 + np.cos(np.pi * i / 6)) for i in range(6)])


def test_every_epoch_draws_an_order_of_all_samples() -> None:
    orders: list[Any] = []

    class Watched(TrainingData):
        def epoch(self, epoch: int, order: Any) -> Any:
            orders.append((epoch, order.tolist()))
            return super().epoch(epoch, order)

    for seed in (3, 3, 4):
        net = trained_network(chip(), epochs=2, loss=lambda o, y: o.sum())
        loop.run_training(net, Watched(chip(), net.training), seed, None)
    assert [epoch for epoch, _ in orders] == [0, 1] * 3
    assert all(sorted(order) == list(range(7)) for _, order in orders)
    assert orders[:2] == orders[2:4]
    assert orders[0][1] != orders[1][1]
    assert orders[0][1] != orders[4][1]


def test_parameters_stay_on_their_grids_range_after_every_batch() -> None:
    """Beyond it they would have to come all the way back before a weight changes."""
    net = trained_network(chip(readout=True), epochs=20, learning_rate=0.5, loss=lambda o, y: -o.sum())
    loop.run_training(net, data(chip(readout=True)), 0, None)
    (parameter,) = net.parameters()
    weights_now = net.module.node("w0").weight.detach()
    unit = 2.0 ** np.rint(np.log2(np.sqrt((2 * 100**2 + 2 * 50**2) / 4)))
    assert (parameter.detach() * unit).max() == weights_now.max() == 255


def test_batches_are_on_the_device_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    whole = torch.as_tensor

    def watched(values: Any, *given: Any, device: Any = "none", **options: Any) -> Any:
        asked.append(device)
        return whole(values, *given, **options)

    net = trained_network(chip(readout=True), epochs=1)
    monkeypatch.setattr(loop.torch, "as_tensor", watched)
    loop.run_training(net, data(chip(readout=True)), 0, None)
    monkeypatch.undo()
    assert len(asked) >= 2 * (1 + 2)  # inputs, scale and offset, for the spread and for the batch; labels
    assert {str(device) for device in asked} == {"cpu"}


# --- grids


def grid_of(exact: Any, bits: int = 8, how: str = "nearest") -> Any:
    given = np.array(exact, dtype=float)
    return network.weight_grid(Weights(given.astype(int), 0, np.ones(1), None, None, given), Rounding(how, bits))


def test_a_nodes_grid_has_its_quantum_its_ends_and_its_signs() -> None:
    mixed = grid_of([600.0, -3.0, 0.0])
    assert (mixed.quantum, mixed.low.tolist(), mixed.high.tolist()) == (8.0, [-1016, -1016, 0], [1016, 1016, 0])
    positive = grid_of([200.0, 3.0, 0.0])
    assert (positive.quantum, positive.low.tolist(), positive.high.tolist()) == (1.0, [0, 0, 0], [255, 255, 0])
    negative = grid_of([-200.0, -3.0, 0.0], bits=4)
    assert (negative.quantum, negative.low.tolist(), negative.high.tolist()) == (16.0, [-240, -240, 0], [0, 0, 0])
    assert mixed.unit == 512.0  # the root mean square of 600 and 3 is 424
    p = torch.tensor([1.9, -1.9, 0.0], dtype=torch.float64)  # of 4 weight units: 7.6, on a grid of even numbers
    assert grid_of([6.0, -6.0, 4.0])(p).tolist() == [8, -8, 0]
    assert grid_of([6.0, -6.0, 4.0], how="truncate")(p).tolist() == [6, -6, 0]
    assert grid_of([6.0, -6.0, 4.0], how="stochastic")(p).tolist() == [8, -8, 0]


def test_a_bias_grid_has_mantissas_of_13_bits() -> None:
    grid = network.BiasGrid(1024.0)
    p = torch.tensor([0.5, 4.0009765625, -8.3, 1000.0], dtype=torch.float64, requires_grad=True)
    found = grid(p)
    assert found.tolist()[:2] == [512, 4096]  # 4097 is odd and above 4095
    assert found.tolist()[2] == -4 * round(8.3 * 1024 / 4)
    found.sum().backward()
    assert p.grad.tolist() == [1024.0] * 4
    grid.keep_within(p.data)
    assert p.tolist()[3] == 4095 * 128 / 1024


def test_what_is_trained_starts_at_the_weights_before_rounding() -> None:
    """Or, with stochastic rounding, at those that were drawn."""
    exact = np.array([[100.6, 50.0], [0.0, 50.0], [100.0, 0.0]])
    integers = np.array([[102, 50], [0, 50], [100, 0]])
    for how, start in (("nearest", exact), ("stochastic", integers)):
        found = Weights(integers, 0, np.ones(1), None, None, exact)
        net = network.TrainedNetwork(chip(), Training(X, Y), {"w0": found}, Rounding(how))
        (parameter,) = net.parameters()
        unit = 2.0 ** np.rint(np.log2(np.sqrt(np.square(exact[exact != 0]).mean())))
        np.testing.assert_allclose(parameter.detach().numpy() * unit, start)


def test_nothing_else_than_weights_and_present_biases_trains() -> None:
    graph_of = chain((8,), nir.Affine(weights(4, 8), np.array([0.1, 0.0, 0.0, 0.2])), lif(4))
    made = hasn.quantise(graph_of, calibrate=spikes(8))
    found = Weights(made.graph.nodes["n0"].weight.astype(int), 0, np.ones(1), None, None, made.graph.nodes["n0"].weight)
    net = network.TrainedNetwork(made, Training(spikes(8), np.arange(4)), {"n0": found}, Rounding())
    assert sorted(tuple(p.shape) for p in net.parameters()) == [(4,), (4, 8)]
    with pytest.raises(OptionError, match="no weights to train") as error:
        network.TrainedNetwork(made, Training(spikes(8), np.arange(4)), {}, Rounding())
    assert (error.value.parameter, error.value.wanted) == ("train", "a node with weights")
