"""Data as torch's users hold them, and the order of their axes: the same losses as of arrays (T, N, *shape)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import hasn
from hasn.backends.snntorch.training.axes import check_shapes
from hasn.errors import InputError, OptionError
from tests.unit.backends.snntorch.training.task import net, readout, samples

CALL: dict[str, Any] = {"epochs": 2, "batch_size": 8}
INPUTS, LABELS = samples(24, steps=7)


class Plain(Dataset[Any]):
    """Samples (T, *shape) with labels that are plain numbers."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, number: int) -> Any:
        if not 0 <= number < 24:
            raise IndexError
        return INPUTS[:, number], int(LABELS[number])


class Stream(IterableDataset[Any]):
    """The same without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter((torch.as_tensor(INPUTS[:, i]), int(LABELS[i])) for i in range(24))


class Named(Plain):
    """Inputs by name."""

    def __getitem__(self, number: int) -> Any:
        inputs, label = super().__getitem__(number)
        return {"in": inputs}, label


def turned() -> torch.Tensor:
    return torch.as_tensor(INPUTS).transpose(0, 1)


FORMS: dict[str, Any] = {
    "arrays, batch first": lambda: {"data": (turned().numpy(), LABELS), "batch_first": True},
    "named arrays, batch first": lambda: {"data": ({"in": turned()}, LABELS), "batch_first": True},
    "a function of them": lambda: {"data": lambda epoch: (turned(), LABELS), "batch_first": True},
    "TensorDataset": lambda: {"data": TensorDataset(turned(), torch.as_tensor(LABELS))},
    "TensorDataset, said twice": lambda: {
        "data": TensorDataset(turned(), torch.as_tensor(LABELS)),
        "batch_first": True,
    },
    "Dataset": lambda: {"data": Plain()},
    "Dataset of named inputs": lambda: {"data": Named()},
    "Subset": lambda: {"data": Subset(Plain(), range(24))},
}
IN_ORDER: dict[str, Any] = {
    "DataLoader": lambda: {"data": DataLoader(Plain(), batch_size=8)},
    "DataLoader of named inputs": lambda: {"data": DataLoader(Named(), batch_size=8)},
    "DataLoader of a TensorDataset": lambda: {
        "data": DataLoader(TensorDataset(turned(), torch.as_tensor(LABELS)), batch_size=8)
    },
    "IterableDataset": lambda: {"data": Stream()},
    "batches, batch first": lambda: {
        "data": [(turned()[i : i + 8], LABELS[i : i + 8]) for i in (0, 8, 16)], "batch_first": True
    },
    "Dataset": lambda: {"data": Plain(), "shuffle": False},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_shuffled_forms_train_as_arrays_do(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = hasn.train(net(), **CALL, **FORMS[name]())
    assert found.losses == hasn.train(net(), (INPUTS, LABELS), **CALL).losses


@pytest.mark.parametrize("name", IN_ORDER)
def test_forms_in_order_train_as_arrays_do(name: str) -> None:
    """Batches of 8 samples and 7 steps, and of 8 and 8: the form itself says which come first."""
    found = hasn.train(net(), **CALL, **IN_ORDER[name]())
    assert found.losses == hasn.train(net(), (INPUTS, LABELS), shuffle=False, **CALL).losses


def test_a_loader_says_which_come_first_where_the_sizes_do_not() -> None:
    inputs, labels = samples(8, steps=8)
    dataset = TensorDataset(torch.as_tensor(inputs).transpose(0, 1), torch.as_tensor(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = hasn.train(net(), DataLoader(dataset, batch_size=8), epochs=1)
        plain = hasn.train(net(), (inputs, labels), epochs=1, shuffle=False, batch_first=False)
    assert loaded.losses == plain.losses


def test_samples_that_do_not_fit_together() -> None:
    class Ragged(Plain):
        def __getitem__(self, number: int) -> Any:
            return INPUTS[: 3 + number % 2, number], int(LABELS[number])

    class Single(Plain):
        def __getitem__(self, number: int) -> Any:
            return INPUTS[:, number]

    with pytest.raises(InputError, match=r"data: samples of one batch have several shapes; got \(3, 12\), \(4, 12\)"):
        hasn.train(net(), Ragged(), **CALL)
    with pytest.raises(InputError, match="data: a sample is no pair; got ndarray of 7"):
        hasn.train(net(), Single(), **CALL)
    with pytest.raises(InputError, match="data: there is not one sample"):
        hasn.train(net(), Subset(Plain(), []), **CALL)


# --- a share held out


SHARED: dict[str, Any] = {
    "arrays": lambda: {"data": (INPUTS, LABELS)},
    "batch first": lambda: {"data": (turned(), LABELS), "batch_first": True},
    "sequences": lambda: {"data": ([INPUTS[:, i] for i in range(24)], LABELS)},
    "named": lambda: {"data": ({"in": INPUTS}, LABELS)},
    "TensorDataset": lambda: {"data": TensorDataset(turned(), torch.as_tensor(LABELS))},
    "Dataset": lambda: {"data": Plain()},
}


@pytest.mark.parametrize("name", SHARED)
def test_a_share_is_held_out(name: str) -> None:
    """6 of 24: no sample is on both sides, and the seed alone decides which."""
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3)).numpy()
    own, rest = np.sort(order[:6]), np.sort(order[6:])
    call: dict[str, Any] = {**CALL, "seed": 3, "shuffle": False}
    found = hasn.train(net(), **call, **SHARED[name](), validation=0.25)
    held = (INPUTS[:, own], LABELS[own])
    wanted = hasn.train(net(), (INPUTS[:, rest], LABELS[rest]), **call, validation=held)
    assert found.losses == wanted.losses
    assert [e.validation_loss for e in found.history] == [e.validation_loss for e in wanted.history]
    assert found.history[0].validation_loss is not None


@pytest.mark.parametrize("labels", [{"a": LABELS, "b": -LABELS}, (LABELS, -LABELS), [LABELS, -LABELS]])
@pytest.mark.parametrize("batch_first", [True, None])
def test_a_share_of_several_targets(labels: Any, batch_first: bool | None) -> None:
    """Every one of a sample is on the side of its inputs."""
    seen: list[Any] = []

    def loss(outputs: torch.Tensor, given: Any) -> torch.Tensor:
        a, b = given.values() if isinstance(given, dict) else given
        assert torch.equal(a, -b)
        seen.append((torch.is_grad_enabled(), a.tolist()))
        return outputs.sum(0)[torch.arange(len(a)), a].mean()

    inputs = turned() if batch_first else INPUTS
    given: dict[str, Any] = {"epochs": 1, "batch_size": 24, "batch_first": batch_first, "shuffle": False}
    found = hasn.train(net(), (inputs, labels), loss=loss, validation=np.float32(0.25), **given)
    one = hasn.train(
        net(), (inputs, LABELS), loss=lambda o, y: o.sum(0)[torch.arange(len(y)), y].mean(), validation=0.25, **given
    )
    assert [len(y) for _, y in seen] == [18, 6]
    assert (found.losses, found.history[0].validation_loss) == (one.losses, one.history[0].validation_loss)


@pytest.mark.parametrize(
    ("share", "data", "words"),
    [
        (0.0, (INPUTS, LABELS), "validation: no such validation; got 0.0; wanted a share of the data, 0 < share < 1"),
        (1, (INPUTS, LABELS), "validation: no such validation; got 1"), (True, (INPUTS, LABELS), "no such validation"),
        (float("nan"), (INPUTS, LABELS), "no such validation; got nan"),
        (0.01, (INPUTS, LABELS), "validation: that leaves no sample on one side; got 0.01 of 24 samples"),
        (0.99, (INPUTS, LABELS), "that leaves no sample on one side"),
        (0.2, [(INPUTS, LABELS)], "no share can be held out of data that are not all here; got 0.2 of list"),
        (0.2, lambda epoch: (INPUTS, LABELS), "no share can be held out .*Pass data of its own to validation"),
        (0.2, DataLoader(Plain(), batch_size=8), "got 0.2 of DataLoader"), (0.2, Stream(), "got 0.2 of Stream"),
    ],
)  # fmt: skip
def test_shares_that_cannot_be_held_out(share: Any, data: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(net(), data, **CALL, validation=share)


def test_a_resumed_training_holds_out_the_same(tmp_path: Any) -> None:
    call: dict[str, Any] = {"batch_size": 8, "validation": 0.25, "checkpoint": tmp_path / "at.pt", "keep_best": True}
    whole = hasn.train(net(), (INPUTS, LABELS), epochs=3, batch_size=8, validation=0.25, keep_best=True)
    hasn.train(net(), (INPUTS, LABELS), epochs=1, **call)
    with pytest.raises(OptionError, match=r"validation: the checkpoint is .*got 0.5; wanted 0.25"):
        hasn.train(net(), (INPUTS, LABELS), epochs=3, **{**call, "validation": 0.5}, resume=True)
    again = hasn.train(net(), (INPUTS, LABELS), epochs=3, **call, resume=True)
    assert [e.validation_loss for e in again.history] == [e.validation_loss for e in whole.history]


# --- the order of axes


def per_step(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Targets (batch, T, C)."""
    return torch.nn.functional.mse_loss(outputs, targets.to(outputs.dtype).transpose(0, 1))


@pytest.mark.parametrize("batch_first", [None, False, True])
def test_targets_of_every_step_have_the_samples_first(batch_first: bool | None) -> None:
    targets = np.random.default_rng(0).random((24, 7, 3)).astype(np.float32)
    inputs = turned().numpy() if batch_first else INPUTS
    call: dict[str, Any] = {"epochs": 1, "loss": per_step, "batch_size": 24, "shuffle": False}
    found = hasn.train(net(last=readout(3)), (inputs, targets), **call, batch_first=batch_first)
    run = hasn.compile(net(last=readout(3)), precision="float32").run(INPUTS).output
    assert found.losses[0] == pytest.approx(((run - targets.transpose(1, 0, 2)) ** 2).mean(), rel=1e-5)
    batches = [(inputs, targets)]
    assert hasn.train(net(last=readout(3)), batches, **call, batch_first=batch_first).losses == found.losses


@pytest.mark.parametrize("batch_first", [None, True])
@pytest.mark.parametrize("shape", [(7, 24, 3), (7, 24)])
def test_targets_with_time_first_are_told_to_turn_themselves(shape: tuple[int, ...], batch_first: bool | None) -> None:
    inputs = turned() if batch_first else torch.as_tensor(INPUTS)
    with pytest.raises(InputError) as caught:
        hasn.train(net(), (inputs, np.zeros(shape, np.float32)), epochs=1, loss=per_step, batch_first=batch_first)
    assert caught.value.message == "the targets come with time first"
    assert (caught.value.parameter, caught.value.got) == ("data labels", shape)
    assert caught.value.way_out == "Turn the targets round, not the inputs: labels.transpose(0, 1)."


@pytest.mark.parametrize(
    ("axes", "batch_first", "words"),
    [
        (
            (1, 0, 2),
            None,
            r"got \(24, 7, 12\) and 24 .*batch seems to come first: transpose\(0, 1\), or batch_first=True\.",
        ),
        ((0, 1, 2), True, r"got \(7, 24, 12\) and 24 labels; .*Time seems to come first: leave batch_first out\."),
        ((1, 2, 0), None, r"got \(24, 12, 7\); .*The axes seem to be in another order: permute\(2, 0, 1\)\."),
        ((0, 2, 1), None, r"got \(7, 12, 24\); .*permute\(0, 2, 1\)\."),
        ((2, 0, 1), None, r"got \(12, 7, 24\); .*permute\(1, 2, 0\)\."),
        ((2, 1, 0), None, r"got \(12, 24, 7\); .*permute\(2, 1, 0\)\."),
    ],
)
def test_every_order_of_three_axes_is_recognised(axes: Any, batch_first: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hasn.train(net(), (INPUTS.transpose(axes), LABELS), epochs=1, batch_first=batch_first)
    with pytest.raises(InputError, match=words):
        hasn.train(net(), [(INPUTS.transpose(axes), LABELS)], epochs=1, batch_first=batch_first)


def test_an_image_with_its_batch_first() -> None:
    """(N, T, C, H, W), the form of tonic behind torch's default collate."""
    with pytest.raises(InputError, match="or batch_first=True"):
        check_shapes({"in": torch.zeros(5, 3, 2, 8, 8)}, {"in": (2, 8, 8)}, torch.zeros(5), "data")
    check_shapes({"in": torch.zeros(3, 5, 2, 8, 8)}, {"in": (2, 8, 8)}, torch.zeros(5), "data")
    with pytest.raises(
        InputError, match=r"permute\(1, 0, 4, 2, 3\)|permute\(1, 0, 2, 3, 4\)|wanted \(T, batch, 2, 8, 8\)"
    ):
        check_shapes({"in": torch.zeros(5, 3, 8, 8, 2)}, {"in": (2, 8, 8)}, torch.zeros(5), "data")


@pytest.mark.parametrize("form", ["arrays", "batches", "a function"])
def test_a_doubt_is_a_warning_said_once(form: str) -> None:
    inputs, labels = samples(8, steps=8)
    data: dict[str, Any] = {
        "arrays": (inputs, labels), "batches": [(inputs, labels)] * 2, "a function": lambda epoch: (inputs, labels)
    }  # fmt: skip
    with pytest.warns(RuntimeWarning, match=r"data: in is \(8, 8, 12\), as many steps as samples") as said:
        hasn.train(net(), data[form], epochs=2)
    assert len([w for w in said if "as many steps" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = hasn.train(net(), data[form], epochs=2, batch_first=False)
        hasn.train(net(), ([inputs[:, i] for i in range(8)], labels), epochs=1)  # each says its own length
    if form == "arrays":
        turned_ = inputs.transpose(1, 0, 2)
        assert hasn.train(net(), (turned_, labels), epochs=2, batch_first=True).losses == first.losses


def test_a_function_of_the_epoch_takes_the_epoch() -> None:
    for name in ("data", "validation"):
        given = {"data": (INPUTS, LABELS), name: lambda: (INPUTS, LABELS)}
        with pytest.raises(OptionError, match=f"{name}: the function takes no argument, and it is called with epoch"):
            hasn.train(net(), **given, epochs=1)
    with pytest.raises(OptionError, match=r"data: the function takes \(a, b\), and it is called with epoch"):
        hasn.train(net(), lambda a, b: 0, epochs=1)


def test_what_batch_first_may_be() -> None:
    with pytest.raises(OptionError, match="batch_first: no such batch_first; got 'yes'; wanted None, True, False"):
        hasn.train(net(), (INPUTS, LABELS), epochs=1, batch_first="yes")  # type: ignore[arg-type]
