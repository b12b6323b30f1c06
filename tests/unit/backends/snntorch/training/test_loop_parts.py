"""What a training runs on, each by itself: what moves parameters, how much runs at once, what is told and refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from rich.console import Console

from hasn.backends.snntorch.training import ProgressBar, Step, api
from hasn.backends.snntorch.training.bar import figures
from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.board import Board, writer_of
from hasn.backends.snntorch.training.drawing import process_generators
from hasn.backends.snntorch.training.losses import classes_of
from hasn.backends.snntorch.training.memory import Room, is_out_of_memory
from hasn.backends.snntorch.training.moving import Moving, optimizer_of
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.nonfinite import first_non_finite, stop_at_gradient, stop_at_loss
from hasn.errors import FileError, InputError, OptionError, TrainingError
from hasn.ir.lower import lower
from tests.unit.backends.snntorch.training.task import HIDDEN, INPUTS, net, readout, samples
from tests.unit.backends.snntorch.training.test_option_values import options


def made(graph: nir.NIRGraph | None = None) -> TrainedNetwork:
    lowering = {"dt": None, "method": "euler", "reset": "zero", "timing": "synchronous"}
    return TrainedNetwork(graph or net(), {}, None, lowering, "float64", {})


# --- what moves it


def test_the_optimizers_by_name() -> None:
    """Weight decay pulls at weights and not at what is learned."""
    weight, raw = torch.zeros(2, requires_grad=True), torch.zeros((), requires_grad=True)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    for name, kind in kinds.items():
        optimizer = optimizer_of(name, 0.25, {"w": weight}, {"n.tau": raw})
        assert type(optimizer) is kind
        assert [group["params"] for group in optimizer.param_groups] == [[weight], [raw]]
        assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
        assert optimizer.param_groups[1]["weight_decay"] == 0
    assert optimizer_of("adamw", 1.0, {"w": weight}, {"n.tau": raw}).param_groups[0]["weight_decay"] > 0
    assert [group["params"] for group in optimizer_of("sgd", 1.0, {"w": weight}, {}).param_groups] == [[weight]]
    assert [group["params"] for group in optimizer_of("sgd", 1.0, {}, {"n.tau": raw}).param_groups] == [[raw]]
    own = optimizer_of(
        lambda groups: torch.optim.SGD(groups, lr=0.5, weight_decay=0.1), 1.0, {"w": weight}, {"n.tau": raw}
    )
    assert [(g["lr"], g["weight_decay"]) for g in own.param_groups] == [(0.5, 0.1), (0.5, 0.0)]
    with pytest.raises(OptionError) as caught:
        optimizer_of(lambda groups: groups, 1.0, {"w": weight}, {"n.tau": raw})
    assert (caught.value.parameter, caught.value.got) == ("optimizer", "list")


def moving(**changed: Any) -> Moving:
    network = made()
    for parameter in network.parameters.values():
        parameter.grad = torch.full_like(parameter, 0.5)
    return Moving(network, options(optimizer="sgd", learning_rate=0.1, **changed))


def far(one: Moving) -> float:
    """The norm of the gradient that all parameters have at first: 0.5 in every element."""
    return 0.5 * float(np.sqrt(sum(p.numel() for p in one.network.parameters.values())))


@pytest.mark.parametrize("clip", [None, 1.0, 1e6])
def test_a_step_of_clipped_gradients(clip: float | None) -> None:
    """SGD moves by rate times gradient; what is clipped has the norm ``clip`` (torch divides by the norm + 1e-6)."""
    one = moving(clip=clip)
    before = one.parameters()
    scale = min(1.0, (clip or np.inf) / far(one))
    one.step(lambda: pytest.fail("refused"))
    for name, value in one.parameters().items():
        np.testing.assert_allclose((before[name] - value).numpy(), 0.1 * 0.5 * scale, rtol=1e-5)


def test_those_without_a_gradient_stay() -> None:
    one = moving()
    name = next(iter(one.network.parameters))
    one.network.parameters[name].grad = None
    before = one.parameters()
    one.step(lambda: pytest.fail("refused"))
    assert torch.equal(before[name], one.parameters()[name])
    assert sum(not torch.equal(before[n], value) for n, value in one.parameters().items()) == len(before) - 1


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_refused(clip: float | None, value: float) -> None:
    one = moving(clip=clip)
    next(iter(one.network.parameters.values())).grad.view(-1)[0] = value  # type: ignore[union-attr]
    before = one.parameters()

    def refuse() -> None:
        raise TrainingError("bad")

    with pytest.raises(TrainingError):
        one.step(refuse)
    assert all(torch.equal(before[name], value) for name, value in one.parameters().items())


def test_what_moves_it_comes_back_whole() -> None:
    """Momentum and schedule go on as if nothing had happened; copies are copies."""
    import copy

    def optimizer(groups: Any) -> Any:
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9)

    def schedule(optimizer_: Any) -> Any:
        return torch.optim.lr_scheduler.StepLR(optimizer_, 2, 0.5)

    def three(one: Moving) -> list[float]:
        rates = []
        for _ in range(3):
            rates.append(one.learning_rate)
            one.step(lambda: pytest.fail("refused"))
        return rates

    network = made()
    one = Moving(network, options(optimizer=optimizer, schedule=schedule))
    for parameter in network.parameters.values():
        parameter.grad = torch.ones_like(parameter)
    assert three(one) == [0.1, 0.1, 0.05]
    state = copy.deepcopy(one.state())
    assert state["scaler"] is None
    kept = one.parameters()
    assert three(one) == pytest.approx([0.05, 0.025, 0.025])
    wanted = one.parameters()
    assert all(not torch.equal(kept[name], wanted[name]) for name in kept)

    other = Moving(made(net(seed=3)), options(optimizer=optimizer, schedule=schedule))
    for parameter in other.network.parameters.values():
        parameter.grad = torch.ones_like(parameter)
    other.load(state)
    assert three(other) == pytest.approx([0.05, 0.025, 0.025])
    assert all(torch.equal(other.parameters()[name], value) for name, value in wanted.items())
    plain = Moving(made(), options())
    assert (plain.state()["schedule"], plain.state()["scaler"]) == (None, None)
    plain.load({**plain.state(), "schedule": {"not": "its own"}})


def test_a_scaler_in_half_precision_alone() -> None:
    assert moving().scaler is None
    assert moving(amp="bf16").scaler is None
    one = moving(amp="fp16")
    assert one.scaler is not None
    state = one.state()["scaler"]
    one.backward(torch.ones((), requires_grad=True))
    one.load({**one.state(), "scaler": {**state, "scale": 8.0}})
    assert one.scaler.get_scale() == 8.0


# --- what stops being a number


@pytest.mark.parametrize(("name", "place"), [("hidden", (3, 1)), ("in", (2, 0))])
def test_the_first_node_and_step_whose_state_is_not_finite(name: str, place: tuple[int, int]) -> None:
    """A NaN in an input, and a voltage that a weight makes infinite once its input spikes."""
    step, sample = place
    inputs = np.zeros((6, 2, INPUTS), np.float32)
    graph = net(last=readout(3))
    if name == "in":
        inputs[step, sample, 3] = np.nan
    else:
        graph.nodes["hidden"].r[:] = 1e300
        graph.nodes["w1"].weight[:, 5] = 1e20
        graph.nodes["w1"].bias[:] = 0
        inputs[step, sample, 5] = 1
    given = Batch({"in": torch.as_tensor(inputs)}, torch.zeros(2, dtype=torch.int64), 2)
    network = made(graph)
    assert first_non_finite(network, given) == (name, step)
    sound = Batch({"in": torch.zeros(6, 2, INPUTS)}, given.labels, 2)
    assert first_non_finite(network, sound) is None


def test_what_is_said_of_numbers_that_are_none() -> None:
    """The node where there is one, of the first batch that has it; else the loss, or the parameters."""
    network = made(net(last=readout(3)))
    sound = Batch({"in": torch.zeros(6, 2, INPUTS)}, torch.zeros(2, dtype=torch.int64), 2)
    inputs = torch.zeros(6, 2, INPUTS)
    inputs[4, 1, 2] = np.inf
    broken = Batch({"in": inputs}, sound.labels, 2)
    for call in (lambda b: stop_at_loss(network, b, 7, 3.0), lambda b: stop_at_gradient(network, b, 7)):
        with pytest.raises(InputError, match="the data of update 7") as caught:
            call([sound, broken, sound])
        assert (caught.value.node, caught.value.parameter) == ("in", "data")
        assert caught.value.got == "inf at step 4, sample 1"
    loss = stop_at_loss(network, [sound], 7, float("inf"))
    assert (loss.node, loss.parameter, loss.got) == (None, "loss", float("inf"))
    assert "loss function" in str(loss.way_out)
    first, second, *_ = network.parameters.values()
    first.grad, second.grad = torch.ones_like(first), torch.full_like(second, np.nan)
    gradient = stop_at_gradient(network, [sound], 7)
    assert gradient.parameter == list(network.parameters)[1]
    assert "loss function" in str(gradient.way_out)
    first.grad[0] = np.inf
    assert stop_at_gradient(network, [sound], 7).parameter == ", ".join(list(network.parameters)[:2])


# --- how much runs at once


def sized(size: int, steps: int) -> Batch:
    return Batch({"in": torch.zeros(steps, size, 1)}, torch.zeros(size), size)


@pytest.mark.parametrize(
    ("limit", "size", "steps", "parts"),
    [
        (None, 7, 10, [7]), (70, 7, 10, [7]), (69, 7, 10, [6, 1]), (20, 7, 10, [2, 2, 2, 1]), (19, 7, 10, [1] * 7),
        (1, 3, 10, [1] * 3), (20, 7, 5, [4, 3]), (100, 0, 10, []),
    ],
)  # fmt: skip
def test_parts_that_fit(limit: int | None, size: int, steps: int, parts: list[int]) -> None:
    """The limit counts samples times steps."""
    room = Room(limit)
    assert [part.size for part in room.parts(sized(size, steps))] == parts
    assert room.samples == max(parts, default=0)


def test_room_is_halved_until_it_fits() -> None:
    """12 samples of 10 steps into room for 3: 12, 6 and then 3 at once; the limit stays for shorter sequences."""
    room, tried = Room(), []

    def work() -> int:
        parts = room.parts(sized(12, 10))
        tried.append(parts[0].size)
        if parts[0].size > 3:
            raise MemoryError
        return len(parts)

    assert room.fitted(work) == 4
    assert tried == [12, 6, 3]
    assert room.limit == 30
    assert [part.size for part in room.parts(sized(8, 5))] == [6, 2]


def test_an_odd_number_is_halved_downwards_to_one() -> None:
    room, tried = Room(), []

    def work() -> None:
        tried.append(room.parts(sized(7, 10))[0].size)
        raise RuntimeError("CUDA out of memory. Tried\nmore lines")

    with pytest.raises(TrainingError) as caught:
        room.fitted(work)
    assert tried == [7, 3, 1]
    error = caught.value
    assert error.message == "one sample does not fit in memory: CUDA out of memory. Tried"
    assert (error.parameter, error.got) == ("batch_size", "10 steps")

    def wordless() -> None:
        room.parts(sized(1, 10))
        raise MemoryError

    with pytest.raises(TrainingError, match="one sample does not fit in memory: MemoryError"):
        room.fitted(wordless)


def test_the_room_of_all_workers_is_the_least() -> None:
    room = Room(50)
    room.agree([None, 40, 60], [4, 9, 2])
    assert (room.limit, room.samples) == (40, 9)
    room.agree([None, None], [1, 2])
    assert (room.limit, room.samples) == (None, 2)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (MemoryError(), True), (torch.cuda.OutOfMemoryError("x"), True), (RuntimeError("can't allocate memory"), True),
        (RuntimeError("MPS backend out of memory"), True), (RuntimeError("not enough memory: 5"), True),
        (RuntimeError("shapes"), False), (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_what_means_that_memory_did_not_suffice(error: Exception, wanted: bool) -> None:
    assert is_out_of_memory(error) is wanted


# --- telling


def step(**changed: Any) -> Step:
    return Step(
        **{"epoch": 1, "epochs": 4, "step": 5, "batch": 2, "batches": 3, "loss": 0.123456, "accuracy": 0.789,
           "rates": {"a": 0.1, "b": 0.2}, "learning_rate": 0.1, "samples": 4, **changed}
    )  # fmt: skip


def test_figures_as_text() -> None:
    assert figures(step()) == "loss 0.1235, accuracy 78.9%, 0.150 spikes a neuron and step"
    assert figures(step(accuracy=None, rates={})) == "loss 0.1235"
    assert figures(step(accuracy=0.0, rates={"a": 0.0})) == "loss 0.1235, accuracy 0.0%, 0.000 spikes a neuron and step"


def test_the_bar_writes_to_stderr() -> None:
    assert ProgressBar()._bar.console.stderr


@pytest.mark.parametrize(("batches", "wanted"), [(3, (5, 12)), (None, (2, None))])
def test_the_bar_counts_batches_of_all_epochs(batches: int | None, wanted: tuple[int, int | None]) -> None:
    bar = ProgressBar(Console(file=io.StringIO()))
    bar(step(batch=1, batches=batches))
    bar(step(batches=batches))
    (task,) = bar._bar.tasks
    assert (task.completed, task.total) == wanted
    assert task.description == "Epoch 2 of 4"
    assert task.fields["figures"] == figures(step())


class Writer:
    """Keeps what it is given; fails from ``wrong`` on."""

    def __init__(self, wrong: int = 99) -> None:
        self.seen: list[tuple[str, float, int]] = []
        self.wrong, self.flushed = wrong, 0

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        if step >= self.wrong:
            raise OSError("no space left")
        self.seen.append((tag, value, step))

    def flush(self) -> None:
        self.flushed += 1


def test_a_board_writes_all_and_flushes() -> None:
    writer = Writer()
    board = Board(writer, 10)
    board.add(1, {"loss": 0.0, "accuracy": None, "rate": 0.5})
    board.add(2, {"loss": 1.5})
    assert board.close() == 0
    assert writer.seen == [("loss", 0.0, 1), ("rate", 0.5, 1), ("loss", 1.5, 2)]
    assert writer.flushed == 1


def test_a_board_counts_what_a_broken_writer_lost(recwarn: pytest.WarningsRecorder) -> None:
    writer = Writer(wrong=2)
    board = Board(writer, 10)
    for number in (1, 2, 3):
        board.add(number, {"loss": 1.0, "rate": 2.0})
    assert board.close() == 4
    assert len(writer.seen) == 2
    assert "no space left" in str(recwarn.pop(RuntimeWarning).message)


def test_what_is_a_log(tmp_path: Path) -> None:
    writer = Writer()
    assert writer_of(writer) is writer
    with pytest.raises(OptionError) as caught:
        writer_of(3)
    assert (caught.value.parameter, caught.value.got) == ("log", "int")


# --- before it begins


def test_the_checkpoint_file_is_looked_at_first(tmp_path: Path) -> None:
    there, new, lost = tmp_path / "there.pt", tmp_path / "new.pt", tmp_path / "no" / "at.pt"
    there.write_text("x")
    api._check_files(options())
    api._check_files(options(checkpoint=new))
    api._check_files(options(checkpoint=new, resume=True))
    api._check_files(options(checkpoint=there, resume=True))
    with pytest.raises(FileError, match="exists and is kept") as caught:
        api._check_files(options(checkpoint=there))
    assert caught.value.parameter == str(there)
    for resume in (False, True):
        with pytest.raises(FileError, match="no such folder") as caught:
            api._check_files(options(checkpoint=lost, resume=resume))
        assert caught.value.parameter == str(lost.parent)


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy", "loss", "accuracy"])
def test_a_monitor_of_validation_wants_validation(monitor: str) -> None:
    api._check(net(), options(monitor=monitor), samples(2))
    if not monitor.startswith("validation"):
        api._check(net(), options(monitor=monitor), None)
        return
    with pytest.raises(OptionError) as caught:
        api._check(net(), options(monitor=monitor), None)
    assert (caught.value.parameter, caught.value.got) == ("monitor", repr(monitor))


def test_how_many_classes_there_are() -> None:
    several = net()
    several.nodes["also"] = nir.Output(np.array([HIDDEN]))
    several.edges = [*several.edges, ("hidden", "also")]
    assert classes_of(lower(net())) == 3
    assert classes_of(lower(several)) is None
    image = nir.NIRGraph(
        {"in": nir.Input(np.array([2, 4])), "s": nir.Scale(np.ones((2, 4))), "out": nir.Output(np.array([2, 4]))},
        [("in", "s"), ("s", "out")],
        metadata={"dt": 1e-3},
    )
    assert classes_of(lower(image)) is None


def test_a_seed_is_all_three_generators() -> None:
    import random

    drawn = []
    before = (float(torch.get_rng_state().sum()), random.getstate())
    for seed in (7, 7, None, 2**32 + 7):
        with process_generators(seed):
            drawn.append((float(torch.rand(())), np.random.random(), random.random()))
    assert drawn[0] == drawn[1]
    assert not set(drawn[2]) & set(drawn[0])
    assert drawn[3][1] == drawn[0][1]  # numpy's takes 32 bits
    assert drawn[3][2] != drawn[0][2]
    assert before == (float(torch.get_rng_state().sum()), random.getstate())
