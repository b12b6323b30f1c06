"""What tells one call of training from another: closures, attributes, code, arrays; and what nothing can be said of."""

from __future__ import annotations

import functools
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch
import torch

import hasn
from hasn.backends.snntorch.training import Loss, RateTarget, first_spike, graph_of
from hasn.backends.snntorch.training.sameness import described, difference, differs
from hasn.errors import FileError, OptionError
from tests.unit.backends.snntorch.training.task import net, samples, weights

GLOBAL = 1.0


def scaled(a: Any) -> Callable[[Any, Any], Any]:
    return lambda outputs, labels: a * outputs.sum()


def deep(a: float) -> Callable[[Any, Any], Any]:
    inner = {"weights": [scaled(a)]}
    return lambda outputs, labels: inner["weights"][0](outputs, labels)


def with_default(a: float) -> Callable[..., Any]:
    def loss(outputs: Any, labels: Any, factor: float = a, *, more: float = 2 * a) -> Any:
        return factor * more * outputs.sum()

    return loss


def of_the_module(outputs: Any, labels: Any) -> Any:
    return GLOBAL * outputs.sum()


class Steep:
    """A loss that is an object, with a method and slots beneath."""

    __slots__ = ("a", "b")

    def __init__(self, a: float, b: float = 0.0) -> None:
        self.a, self.b = a, b

    def __call__(self, outputs: Any, labels: Any) -> Any:
        return self.a * outputs.sum()

    def method(self, outputs: Any, labels: Any) -> Any:
        return self.b * outputs.sum()


class Passing(torch.autograd.Function):
    """A surrogate of the caller's own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient


class Halving(torch.autograd.Function):
    """The same with another gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * 0.5


Halving.__qualname__ = "Passing"

#: What two values are -> how to make the one, and the other. Made twice, each is itself.
PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "a closure": (lambda: scaled(1.0), lambda: scaled(2.0)),
    "a closure's array": (lambda: scaled(np.arange(4.0)), lambda: scaled(np.arange(4.0) + 1e-15)),
    "a closure's tensor": (lambda: scaled(torch.arange(4.0)), lambda: scaled(torch.arange(4.0).flip(0))),
    "a closure's bfloat16": (lambda: scaled(torch.ones(2).bfloat16()), lambda: scaled(torch.zeros(2).bfloat16())),
    "a closure of a closure": (lambda: deep(1.0), lambda: deep(2.0)),
    "defaults": (lambda: with_default(1.0), lambda: with_default(2.0)),
    "a constant": (lambda: lambda o, y: 1.5 * o, lambda: lambda o, y: 2.5 * o),
    "an operation": (lambda: lambda o, y: o + y, lambda: lambda o, y: o - y),
    "a name": (lambda: lambda o, y: o.sum(), lambda: lambda o, y: o.mean()),
    "an inner function": (lambda: lambda o: (lambda e: 0.9**e), lambda: lambda o: (lambda e: 0.8**e)),
    "a partial's keyword": (
        lambda: functools.partial(scaled(1.0), labels=1), lambda: functools.partial(scaled(1.0), labels=2),
    ),
    "a partial's argument": (lambda: functools.partial(scaled, 1.0), lambda: functools.partial(scaled, 2.0)),
    "a partial's function": (lambda: functools.partial(scaled(1.0)), lambda: functools.partial(scaled(2.0))),
    "an object's attribute": (lambda: Steep(1.0), lambda: Steep(2.0)),
    "a bound method's object": (lambda: Steep(1.0, 1.0).method, lambda: Steep(1.0, 2.0).method),
    "a module's argument": (
        lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.1), lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.2),
    ),
    "a module's weights": (
        lambda: torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])),
        lambda: torch.nn.CrossEntropyLoss(weight=torch.tensor([2.0, 1.0])),
    ),
    "a named loss's function": (lambda: Loss("own", scaled(1.0), None), lambda: Loss("own", scaled(2.0), None)),
    "a loss's number": (lambda: first_spike(1.0), lambda: first_spike(2.0)),
    "a regulariser's strength": (lambda: RateTarget(0.1, 1.0), lambda: RateTarget(0.1, 2.0)),
    "a surrogate's slope": (
        lambda: snntorch.surrogate.fast_sigmoid(slope=10), lambda: snntorch.surrogate.fast_sigmoid(slope=25),
    ),
    "a surrogate's gradient": (lambda: Passing.apply, lambda: Halving.apply),
    "a class": (lambda: torch.optim.SGD, lambda: torch.optim.Adam),
    "an optimizer behind a lambda": (
        lambda: lambda groups: torch.optim.SGD(groups, lr=0.1), lambda: lambda groups: torch.optim.SGD(groups, lr=0.2),
    ),
    "two that are exchanged": (
        lambda: (lambda x, y: [x, y, {"a": x, "b": y}])(*_two()),
        lambda: (lambda x, y: [x, y, {"a": y, "b": x}])(*_two()),
    ),
    "a set": (lambda: {"a", "b"}, lambda: {"a", "c"}),
    "a number's last bit": (lambda: 0.1, lambda: np.nextafter(0.1, 1.0)),
}  # fmt: skip


def _two() -> tuple[list[int], list[int]]:
    return [1], [2]


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_told_apart_and_are_themselves(name: str) -> None:
    one, other = PAIRS[name]
    (text, hidden), (changed, _) = described(one()), described(other())
    assert differs(text, described(one())[0]) is False
    assert differs(text, changed) is True
    assert hidden == ()
    assert " at 0x" not in text


def test_a_value_of_the_module_that_a_function_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = described(of_the_module)[0]
    monkeypatch.setattr(sys.modules[__name__], "GLOBAL", 3.0)
    assert differs(before, described(of_the_module)[0])


def test_what_shows_nothing_of_itself_is_named() -> None:
    for value in (object(), torch.Generator(), np.random.default_rng(0)):
        assert described(scaled(value))[1] == ("a",)
    assert described([1, {"x": object()}])[1] == ("x",)
    a: list[Any] = []
    a.append(a)  # ends, too
    assert described(a)[1] == ()


def test_the_text_is_the_same_in_another_process() -> None:
    """With another order of sets and other addresses."""
    code = (
        "from tests.unit.backends.snntorch.training.test_sameness import *\n"
        "print([described(one())[0] for one, _ in PAIRS.values()])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(Path(__file__).parents[5]), "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[5], capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(said[0]) > 1000


def test_code_of_another_python_cannot_be_compared() -> None:
    mine, older = "f(a = 1.0, code 3.11:0123456789abcdef)", "f(a = 1.0, code 3.10:fedcba9876543210)"
    assert differs(mine, older) is None
    assert differs(mine, older.replace("1.0", "2.0")) is True
    assert differs(mine, mine.replace("0123", "1123")) is True


def test_a_difference_is_shown_where_it_is() -> None:
    one, other = "x" * 500 + "a = 1.0" + "y" * 100, "x" * 500 + "a = 2.0" + "y" * 100
    first, second = difference(one, other)
    assert "a = 1.0" in first
    assert "a = 2.0" in second
    assert max(len(first), len(second)) < 80
    assert difference("1", "22") == ("1", "22")


# --- a training that goes on


def cross_entropy(a: float) -> Callable[[Any, Any], Any]:
    return lambda outputs, labels: a * torch.nn.functional.cross_entropy(outputs.sum(0), labels)


def stepped(size: int, gamma: float) -> Callable[[Any], Any]:
    return lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, size, gamma)


def sgd(rate: float) -> Callable[[Any], Any]:
    return lambda groups: torch.optim.SGD(groups, lr=rate)


RATES = {"lr": 0.1}


def of_a_table(groups: Any) -> Any:
    """Reads its rate from what nothing shows."""
    return torch.optim.SGD(groups, lr=_Rates()["x"])


class _Rates:
    def __getitem__(self, key: str) -> float:
        return float(sys.modules["hasn"].__dict__.get("_rate_of_a_test", 0.1))


CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "loss": ({"loss": cross_entropy(1.0)}, {"loss": cross_entropy(2.0)}),
    "schedule": ({"schedule": stepped(100, 0.5)}, {"schedule": stepped(1, 0.1)}),
    "optimizer": ({"optimizer": sgd(0.1)}, {"optimizer": sgd(0.2)}),
    "regularisers": ({"regularisers": [RateTarget(0.1, 1.0)]}, {"regularisers": [RateTarget(0.1, 2.0)]}),
    "surrogate": (
        {"surrogate": snntorch.surrogate.fast_sigmoid(slope=10)},
        {"surrogate": snntorch.surrogate.fast_sigmoid(slope=25)},
    ),
    "learning_rate": ({"learning_rate": 1e-2}, {"learning_rate": 1e-3}),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_resume_with_a_changed_value_is_refused_and_says_how_to_go_on(name: str, tmp_path: Path) -> None:
    before, after = CHANGED[name]
    call: dict[str, Any] = {"epochs": 1, "checkpoint": tmp_path / "at.pt"}
    hasn.train(net(), samples(8), **call, **before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hasn.train(net(), samples(8), **call, **before, resume=True)  # the same goes on without a word
    with pytest.raises(OptionError, match=f"^{name}: the checkpoint is of a training with another value") as caught:
        hasn.train(net(), samples(8), **call, **after, resume=True)
    assert "hasn.training.graph_of(checkpoint)" in str(caught.value)
    if name == "learning_rate":
        assert (caught.value.got, caught.value.wanted) == ("0.001", "0.01")
        assert str(caught.value.way_out).startswith("Pass learning_rate=0.01; to go on at another rate, ")


def test_what_a_function_makes_is_compared_where_its_code_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: dict[str, Any] = {"epochs": 1, "checkpoint": tmp_path / "at.pt", "optimizer": of_a_table}
    hasn.train(net(), samples(8), **call)
    monkeypatch.setattr(hasn, "_rate_of_a_test", 0.3, raising=False)
    with pytest.raises(OptionError, match=r"^optimizer: .*0\.3.*; wanted .*0\.1"):
        hasn.train(net(), samples(8), **call, resume=True)


def test_what_cannot_be_compared_is_in_the_file_and_in_a_warning(tmp_path: Path) -> None:
    path, generator = tmp_path / "at.pt", torch.Generator()

    def loss(outputs: Any, labels: Any) -> Any:
        generator.get_state()
        return torch.nn.functional.cross_entropy(outputs.sum(0), labels)

    hasn.train(net(), samples(8), epochs=1, loss=loss, checkpoint=path)
    assert torch.load(path, weights_only=True)["hidden"] == {"loss": "generator"}
    with pytest.warns(
        RuntimeWarning, match=r"at.pt: whether these are as they were .*cannot be seen: loss \(generator"
    ):
        hasn.train(net(), samples(8), epochs=2, loss=loss, checkpoint=path, resume=True)


# --- the best epoch of another judge


def test_the_best_of_other_validation_data_is_forgotten(tmp_path: Path) -> None:
    """The old best, of a set on which every loss is small, would never be reached again."""
    path = tmp_path / "at.pt"
    inputs, labels = samples(12, 5)
    call: dict[str, Any] = {"checkpoint": path, "keep_best": True, "learning_rate": 1e-2, "monitor": "validation_loss"}
    first = hasn.train(net(), samples(24), epochs=3, **call, validation=(inputs, labels))
    harder = (inputs[:, ::-1].copy(), labels)  # samples with the labels of others
    with pytest.warns(
        RuntimeWarning, match=r"the validation data are others, so the best epoch is sought .* from 4 on"
    ):
        again = hasn.train(net(), samples(24), epochs=4, **call, validation=harder, resume=True)
    assert again.history[3].validation_loss > min(e.validation_loss for e in first.history)  # type: ignore[operator,type-var]
    last = hasn.train(net(), samples(24), epochs=4, learning_rate=1e-2)
    for key, value in weights(last.graph).items():
        np.testing.assert_array_equal(weights(again.graph)[key], value)  # of the epoch since


def test_a_best_whose_parameters_were_not_kept_is_forgotten(tmp_path: Path) -> None:
    """A rate so large that the first epoch stays the best by far."""
    call: dict[str, Any] = {"batch_size": 16, "learning_rate": 3.0, "checkpoint": tmp_path / "at.pt"}
    held_out = samples(24, 5)
    before = hasn.train(net(), samples(16), epochs=1, validation=held_out, **call)
    with pytest.warns(RuntimeWarning, match="it was written without keep_best"):
        again = hasn.train(net(), samples(16), epochs=3, validation=held_out, keep_best=True, resume=True, **call)
    losses = [e.validation_loss for e in again.history[1:]]
    judged = hasn.train(again.graph, samples(16), epochs=1, learning_rate=1e-30, validation=held_out)
    assert judged.history[0].validation_loss == pytest.approx(min(losses), rel=1e-5)  # type: ignore[type-var]
    assert len(before.history) == 1


def test_more_patience_lets_a_stopped_training_go_on(tmp_path: Path) -> None:
    call: dict[str, Any] = {"batch_size": 16, "learning_rate": 3.0, "checkpoint": tmp_path / "at.pt"}
    held_out = samples(24, 5)
    first = hasn.train(net(), samples(16), epochs=9, patience=1, validation=held_out, **call)
    assert first.stopped == "validation_loss has not improved for 1 epoch"
    done = len(first.history)
    assert done < 9
    again = hasn.train(net(), samples(16), epochs=done + 1, validation=held_out, resume=True, **call)
    assert len(again.history) == done + 1


# --- the graph of a checkpoint


@pytest.mark.parametrize("keep_best", [False, True])
def test_a_checkpoint_gives_its_graph(keep_best: bool, tmp_path: Path) -> None:
    """That of the result, tau and resets included: the best epoch's, or the last."""
    path = tmp_path / "at.pt"
    result = hasn.train(
        net(), samples(24), epochs=3, learning_rate=0.1, learn="tau", reset="subtract", dt=2e-3, keep_best=keep_best,
        validation=samples(12, 5), checkpoint=path,
    )  # fmt: skip
    found = graph_of(path)
    assert found.metadata == result.graph.metadata
    assert [found.nodes[n].metadata for n in found.nodes] == [result.graph.nodes[n].metadata for n in found.nodes]
    for key, value in weights(result.graph).items():
        np.testing.assert_array_equal(weights(found)[key], value)
    assert abs(weights(found)["hidden.tau"] - 5.1e-3).max() > 1e-5


def test_no_checkpoint_gives_no_graph(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no such file"):
        graph_of(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(FileError, match="not a checkpoint, or a damaged one"):
        graph_of(tmp_path / "text.pt")
    hasn.train(net(), samples(8), epochs=1, checkpoint=tmp_path / "at.pt")
    with pytest.raises(FileError, match="damaged one: parameters"):
        graph_of(tmp_path / "at.pt", _wider())


def _wider() -> Any:
    graph = net()
    graph.nodes["w1"].weight = np.ones((16, 13))
    graph.nodes["in"].input_type = {"input": np.array([13])}
    graph.nodes["in"].output_type = {"output": np.array([13])}
    return graph
