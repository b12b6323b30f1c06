"""Class weights, smoothing, ignored labels, labels of every step, torch's modules, several Outputs and targets."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy as torch_entropy

import hasn
from hasn.backends.snntorch.training import Several, count, cross_entropy, first_spike, membrane, rate
from hasn.errors import InputError, OptionError
from tests.unit.backends.snntorch.training.task import net, readout, samples, weights

INPUTS, LABELS = samples(21)
X = torch.tensor(INPUTS)
WEIGHT = [0.5, 2.0, 3.5]
ONE: dict[str, Any] = {"epochs": 1, "batch_size": 21, "shuffle": False}
IGNORED = np.where(np.arange(21) % 4 == 1, -1, LABELS)


def outputs(graph: nir.NIRGraph) -> torch.Tensor:
    """What the network gives before training, as the plain backend runs it."""
    with torch.no_grad():
        made: torch.Tensor = hasn.compile(graph, backend="snntorch", precision="float32").module(X)
    return made


def first_loss(graph: nir.NIRGraph, loss: Any, labels: Any = LABELS, **more: Any) -> float:
    return hasn.train(graph, (INPUTS, labels), loss=loss, **{**ONE, **more}).losses[0]


@pytest.mark.parametrize(
    ("made", "read", "last"),
    [
        (rate, lambda z: z.sum(0), None),
        (membrane, lambda v: v.amax(0), readout(3)),
        (first_spike, lambda z: -(1 - z).cumprod(0).sum(0), None),
        (lambda **o: cross_entropy("mean", **o), lambda z: z.mean(0), None),
        (lambda **o: cross_entropy("last", **o), lambda v: v[-1], readout(3)),
    ],
    ids=["rate", "membrane", "first-spike", "mean", "last"],
)
@pytest.mark.parametrize(
    "options",
    [{"weight": WEIGHT}, {"label_smoothing": 0.2}, {"ignore_index": -1}, {"weight": WEIGHT, "ignore_index": -1}],
    ids=["weights", "smoothing", "ignored", "both"],
)
def test_the_options_are_torchs(made: Any, read: Any, last: Any, options: dict[str, Any]) -> None:
    labels = IGNORED if "ignore_index" in options else LABELS
    graph = net(last=last)
    of_torch = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    wanted = float(torch_entropy(read(outputs(graph)), torch.tensor(labels), **of_torch))
    assert first_loss(graph, made(**options), labels) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("cut", [{"batch_size": 4, "accumulate": 6}, {"batch_size": 7, "accumulate": 3}])
def test_a_weighted_mean_over_several_batches_is_that_of_one(cut: dict[str, Any]) -> None:
    """The mean of a part's mean would be another: batches hold other shares of each class, and of ignored labels."""
    loss = rate(weight=WEIGHT, ignore_index=-1)
    given = {**ONE, "epochs": 3, "learning_rate": 1e-2, "precision": "float64", "loss": loss}
    whole = hasn.train(net(), (INPUTS, IGNORED), **given)
    parts = hasn.train(net(), (INPUTS, IGNORED), **{**given, **cut})
    assert parts.losses == pytest.approx(whole.losses, rel=1e-9)
    assert [e.accuracy for e in parts.history] == pytest.approx([e.accuracy for e in whole.history])
    for name, value in weights(whole.graph).items():
        assert np.allclose(weights(parts.graph)[name], value, rtol=0, atol=1e-9), name
    other = weights(hasn.train(net(), (INPUTS, LABELS), **{**given, "loss": "rate"}).graph)
    assert not np.allclose(other["w1.weight"], weights(whole.graph)["w1.weight"], atol=1e-3)


def test_what_is_ignored_is_not_counted_right_or_wrong() -> None:
    said = outputs(net()).sum(0).argmax(1).numpy()
    counted = IGNORED >= 0
    made = hasn.train(net(), (INPUTS, IGNORED), loss=rate(ignore_index=-1), **ONE)
    assert made.history[0].accuracy == pytest.approx(float((said == IGNORED)[counted].mean()))
    with pytest.warns(RuntimeWarning, match="nothing was learned"):
        nothing = hasn.train(net(), (INPUTS, np.full(21, -1)), loss=rate(ignore_index=-1), **ONE)
    assert (nothing.losses[0], nothing.history[0].accuracy) == (0.0, None)  # none of none
    with pytest.raises(InputError, match="no such class, at sample 1"):
        hasn.train(net(), (INPUTS, IGNORED), **ONE)
    with pytest.raises(InputError, match="no such class"):
        hasn.train(net(), (INPUTS, IGNORED), loss=rate(ignore_index=-2), **ONE)


@pytest.mark.parametrize("size", [4, 5, 20])
def test_an_epochs_figures_are_those_of_all_its_labels(size: int) -> None:
    """Of batches that hold other weights and other shares of what is ignored, one of them nothing else."""
    labels = np.where(np.arange(21) < 4, -1, IGNORED)
    z = outputs(net())
    counted = labels >= 0
    wanted = float(torch_entropy(z.sum(0), torch.tensor(labels), torch.tensor(WEIGHT), ignore_index=-1))
    right = float((z.sum(0).argmax(1).numpy() == labels)[counted].mean())
    steps: list[Any] = []
    done = hasn.train(
        net(), (INPUTS, labels), loss=rate(weight=WEIGHT, ignore_index=-1), validation=(INPUTS, labels), epochs=1,
        learning_rate=1e-12, optimizer="sgd", batch_size=size, shuffle=False, progress=steps.append,
    ).history[0]  # fmt: skip
    assert done.loss == pytest.approx(wanted, rel=1e-5)
    assert done.validation_loss == pytest.approx(wanted, rel=1e-5)
    assert (done.accuracy, done.validation_accuracy) == pytest.approx((right, right))
    assert (steps[0].accuracy is None) is (size == 4)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: rate(weight=[1.0, -1.0, 1.0]), "no class weights"),
        (lambda: rate(weight=[0.0, 0.0]), "no class weights"),
        (lambda: membrane(label_smoothing=1.5), "label_smoothing: no such share; got 1.5"),
        (lambda: first_spike(ignore_index=0.5), "ignore_index: no label"),  # type: ignore[arg-type]
        (lambda: first_loss(net(), rate(weight=[1.0, 2.0])), "class weights of other classes; got 2 weights"),
    ],
)
def test_options_that_mean_nothing(made: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        made()


# --- labels at every step


def test_the_cross_entropy_of_every_step() -> None:
    z = outputs(net())
    every = np.random.default_rng(3).integers(0, 3, (21, len(z)))
    one = np.mean([float(torch_entropy(now, torch.tensor(LABELS))) for now in z])
    assert first_loss(net(), cross_entropy("steps")) == pytest.approx(one, rel=1e-5)
    each = np.mean([float(torch_entropy(now, torch.tensor(every[:, t]))) for t, now in enumerate(z)])
    made = hasn.train(net(), (INPUTS, every), loss=cross_entropy("steps"), **ONE)
    assert made.losses[0] == pytest.approx(each, rel=1e-5)
    assert made.history[0].accuracy == pytest.approx(float((z.argmax(2).T.numpy() == every).mean()))
    ignored = np.where(np.arange(len(z)) < 4, -1, every)  # the first steps tell nothing yet
    left = torch_entropy(z[4:].flatten(0, 1), torch.tensor(every.T[4:].copy()).flatten())
    assert first_loss(net(), cross_entropy("steps", ignore_index=-1), ignored) == pytest.approx(float(left), rel=1e-5)
    with pytest.raises(InputError, match=r"another number of labels than steps; got \(21, 9\) and 10 steps"):
        first_loss(net(), cross_entropy("steps"), every[:, :9])
    wrong = every.copy()
    wrong[2, 5] = 3
    with pytest.raises(InputError, match="no such class, at sample 2, step 5"):
        first_loss(net(), cross_entropy("steps"), wrong)


# --- torch's own modules


def test_torchs_cross_entropy_as_it_stands() -> None:
    for graph, read in ((net(), lambda z: z.sum(0)), (net(last=readout(3)), lambda v: v.amax(0))):
        for module in (
            nn.CrossEntropyLoss(),
            nn.CrossEntropyLoss(torch.tensor(WEIGHT), label_smoothing=0.1, ignore_index=1),
        ):
            wanted = float(module(read(outputs(graph)), torch.tensor(LABELS)))
            assert first_loss(graph, module) == pytest.approx(wanted, rel=1e-5)
    plain = hasn.train(net(), (INPUTS, LABELS), loss=nn.CrossEntropyLoss(), **{**ONE, "epochs": 3})
    assert plain.losses == hasn.train(net(), (INPUTS, LABELS), loss="rate", **{**ONE, "epochs": 3}).losses
    assert plain.history[0].accuracy is not None


def test_torchs_other_modules_compare_every_step() -> None:
    graph = net(last=readout(3))
    v = outputs(graph)
    target = np.random.default_rng(5).normal(size=(21, len(v), 3)).astype(np.float32)
    for module in (nn.MSELoss(), nn.SmoothL1Loss(beta=0.3), nn.BCEWithLogitsLoss()):
        wanted = float(module(v, torch.tensor(target).transpose(0, 1)))
        made = hasn.train(graph, (INPUTS, target), loss=module, **ONE)
        assert made.losses[0] == pytest.approx(wanted, rel=1e-5)
        assert made.history[0].accuracy is None


@pytest.mark.parametrize(
    ("graph", "loss", "labels", "error", "words"),
    [
        (net(), nn.MSELoss(), np.ones((21, 3)), InputError, r"MSELoss compares every step; got \(21, 3\)"),
        (
            net(),
            nn.CrossEntropyLoss(reduction="sum"),
            LABELS,
            OptionError,
            "no mean over the samples",
        ),
        (net(), nn.CrossEntropyLoss, LABELS, OptionError, r"a class and no loss; got CrossEntropyLoss; wanted .*\("),
        (net(), nn.CrossEntropyLoss(), np.eye(3)[LABELS], InputError, r"no classes.*labels.argmax\(1\)"),
        (net(), "rate", LABELS.astype(np.float32), InputError, r"no classes.*labels.astype\(int\)"),
        (net(), "rate", LABELS + 0.5, InputError, "no classes.*the elements of the Output$"),
        (net(last=nir.Linear(np.eye(3))), nn.CrossEntropyLoss(), LABELS, OptionError, "cross_entropy.over="),
    ],
)
def test_modules_that_do_not_fit(graph: Any, loss: Any, labels: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        first_loss(graph, loss, labels)


# --- several Outputs, several targets


def two() -> nir.NIRGraph:
    """The task's net with a second Output, of 2 voltages."""
    graph = net()
    graph.nodes["w3"] = nir.Linear(np.random.default_rng(8).normal(0, 0.5, (2, 16)))
    graph.nodes["side"] = readout(2)
    graph.nodes["aux"] = nir.Output(np.array([2]))
    graph.edges = [*graph.edges, ("hidden", "w3"), ("w3", "side"), ("side", "aux")]
    return graph


SIDES = np.random.default_rng(6).integers(0, 2, 21)


def both() -> tuple[float, float]:
    """The losses of the two Outputs, by hand."""
    found: Any = outputs(two())
    main = torch_entropy(found["out"].sum(0), torch.tensor(LABELS))
    return float(main), float(torch_entropy(found["aux"].amax(0), torch.tensor(SIDES)))


def test_a_loss_of_each_output_and_its_labels_by_name_or_place() -> None:
    main, aux = both()
    losses = {"aux": "membrane", "out": "rate"}
    order = [step.name for step in hasn.compile(two(), backend="snntorch").program.nodes if step.name in losses]
    by_name = {"out": LABELS, "aux": SIDES}
    by_place = tuple(by_name[name] for name in order)
    assert first_loss(two(), losses, by_name) == pytest.approx(main + aux, rel=1e-5)
    assert first_loss(two(), losses, by_place) == pytest.approx(main + aux, rel=1e-5)
    assert first_loss(two(), losses, list(by_place)) == pytest.approx(main + aux, rel=1e-5)
    heavy = Several(losses, {"aux": 0.25}, accuracy="aux")
    made = hasn.train(two(), (INPUTS, by_name), loss=heavy, validation=(INPUTS, by_name), **ONE)
    assert made.losses[0] == pytest.approx(main + 0.25 * aux, rel=1e-5)
    said = outputs(two())["aux"].amax(0).argmax(1).numpy()  # type: ignore[call-overload]
    assert made.history[0].accuracy == pytest.approx(float((said == SIDES).mean()))
    assert hasn.train(two(), (INPUTS, by_name), loss=losses, **ONE).history[0].accuracy is None
    only = hasn.train(two(), (INPUTS, LABELS), loss={"out": cross_entropy("max", "membrane")}, **ONE)
    assert only.history[0].accuracy is not None
    assert np.array_equal(only.graph.nodes["w3"].weight, two().nodes["w3"].weight.astype(np.float32))


def test_batches_with_several_targets() -> None:
    """As torch's default collate gives them: a list of the columns."""
    main, aux = both()
    loss = {"out": "rate", "aux": "membrane"}
    for labels in ({"out": LABELS, "aux": SIDES}, [LABELS, SIDES], (LABELS, SIDES)):
        if not isinstance(labels, dict):  # in the order in which outputs are given
            assert [s.name for s in hasn.compile(two(), backend="snntorch").program.nodes if s.name in loss] == [*loss]
        made = hasn.train(two(), [(INPUTS, labels)], loss=loss, epochs=1)
        assert made.losses[0] == pytest.approx(main + aux, rel=1e-5)


def test_a_function_gets_the_targets_as_they_were_given() -> None:
    seen: list[Any] = []

    def loss(shown: Any, labels: Any) -> Any:
        seen.append(labels)
        return shown.float().mean()

    hasn.train(net(), (INPUTS, (LABELS, SIDES)), loss=loss, epochs=1, batch_size=5, shuffle=False)
    assert [type(labels) for labels in seen] == [tuple] * 5
    assert torch.cat([labels[1] for labels in seen]).tolist() == SIDES.tolist()
    seen.clear()
    hasn.train(net(), (INPUTS, {"a": LABELS, "b": SIDES}), loss=loss, **ONE)
    assert seen[0]["a"].tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("loss", "labels", "error", "words"),
    [
        ({"nowhere": "rate"}, LABELS, OptionError, "no such Output; got 'nowhere'; wanted .*out"),
        ({"aux": "rate"}, LABELS, OptionError, "'aux' loss: the loss 'rate' reads spikes"),
        ({}, LABELS, OptionError, "a loss of no Output"),
        (Several({"out": "rate"}, {"aux": 2.0}), LABELS, OptionError, "weights: no such Output; got 'aux'"),
        (Several({"out": "rate"}, {"out": 0}), LABELS, OptionError, "weights: no such value; got 0"),
        ({"out": rate(weight=WEIGHT), "aux": "membrane"}, LABELS, OptionError, "one Output's loss alone"),
        ({"out": "rate", "aux": "membrane"}, {"out": LABELS}, InputError, "'aux' labels: an Output has no targets"),
        ({"out": "rate"}, {"out": LABELS[:20]}, InputError, "labels"),
        ({"out": "rate"}, {"out": LABELS, "b": SIDES[:5]}, InputError, "targets of different lengths"),
        ({"aux": "membrane"}, LABELS, InputError, "data aux labels: no such class"),
    ],
)
def test_what_does_not_fit_several_outputs(loss: Any, labels: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        first_loss(two(), loss, labels)


def test_a_weighted_loss_of_one_of_several_outputs() -> None:
    found: Any = outputs(two())
    wanted = torch_entropy(found["out"].sum(0), torch.tensor(LABELS), torch.tensor(WEIGHT))
    given = {"out": LABELS, "aux": SIDES}
    assert first_loss(two(), {"out": rate(weight=WEIGHT)}, given) == pytest.approx(float(wanted), rel=1e-5)


def test_an_output_without_classes_needs_no_labels_of_another() -> None:
    target = np.random.default_rng(5).normal(size=(21, 10, 2)).astype(np.float32)
    found: Any = outputs(two())["aux"]  # type: ignore[call-overload]
    wanted = float(((found - torch.tensor(target).transpose(0, 1)) ** 2).mean())
    made = hasn.train(two(), (INPUTS, {"aux": target}), loss={"aux": nn.MSELoss()}, **ONE)
    assert made.losses[0] == pytest.approx(wanted, rel=1e-5)
    assert made.history[0].accuracy is None


def test_targets_that_count_are_real_numbers_too() -> None:
    counts = np.abs(np.random.default_rng(2).normal(size=(21, 3)))
    wanted = float(((outputs(net()).sum(0).numpy() - counts) ** 2).mean())
    assert first_loss(net(), {"out": count()}, {"out": counts}) == pytest.approx(wanted, rel=1e-5)
