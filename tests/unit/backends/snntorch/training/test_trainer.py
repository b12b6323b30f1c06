"""The loop's own decisions: what an epoch's end does, what workers agree on, what is told and kept."""

from __future__ import annotations

import warnings
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Step, SynapticCost, api
from hasn.backends.snntorch.training.fits import loss_of
from hasn.backends.snntorch.training.gradients import Gradients
from hasn.backends.snntorch.training.loop import Trainer, _gradients
from hasn.backends.snntorch.training.memory import Room
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.progress import Progress, Tally
from hasn.backends.snntorch.training.result import Epoch
from hasn.backends.snntorch.training.score import Scorer
from hasn.backends.snntorch.training.waiting import Waiting
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import InputError, TrainingError
from hasn.ir.seal import seal
from tests.unit.backends.snntorch.training.task import net, samples, weights
from tests.unit.backends.snntorch.training.test_option_values import options
from tests.unit.backends.snntorch.training.test_shares import Fake


class Board:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, Any]]] = []

    def add(self, step: int, scalars: dict[str, Any]) -> None:
        self.seen.append((step, dict(scalars)))


def trainer(workers: Workers | None = None, **changed: Any) -> Any:
    """A trainer whose parameters are the number of the epoch; what it saved is in ``saved``."""
    made: Any = Trainer.__new__(Trainer)
    made.options, made.now, made.board = options(**changed), Progress(), Board()
    made.workers, made.room = workers or Workers(), Room()
    made.told, made._told = [], set()
    made.moving = SimpleNamespace(
        parameters=lambda: {"w": made.now.epoch}, learning_rate=0.25, epoch_done=made.told.append
    )
    made.scorer = SimpleNamespace(populations=("a", "b"))
    made.network = SimpleNamespace(parameters={"w": torch.ones(2)})
    made._told = set()
    made.saved, made._epoch_start = [], {"torch": 1}
    made._save = lambda: made.saved.append(made.now.epoch)
    return made


def epochs(made: Any, name: str, values: list[float | None]) -> list[str]:
    """Let epochs end with these values of a figure; why it has stopped after each."""
    said = []
    for number, value in enumerate(values):
        figures: dict[str, Any] = {"loss": 1.0, "accuracy": 0.5, "validation_loss": 1.0, "validation_accuracy": 0.5}
        made._finish(Epoch(number, **{**figures, name: value}, rates={}, seconds=0.0, batch=1))
        said.append(made.now.stopped)
    return said


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("loss", [3.0, 1.0, 2.0, 1.0], 1), ("validation_loss", [3.0, 2.5, 2.6, 2.7], 1),
        ("accuracy", [0.2, 0.6, 0.6, 0.5], 1), ("validation_accuracy", [0.9, 0.95, 0.2, 0.3], 1),
    ],
)  # fmt: skip
def test_it_stops_after_so_many_epochs_without_a_better_one(monitor: str, values: list[Any], best: int) -> None:
    made = trainer(monitor=monitor, patience=2, keep_best=True)
    said = epochs(made, monitor, values)
    assert said == ["", "", "", f"{monitor} has not improved for 2 epochs"]
    assert made.now.best_parameters == {"w": best}
    assert made.told == values  # what a ReduceLROnPlateau hears
    assert [done.epoch for done in made.now.history] == [0, 1, 2, 3]
    free = trainer(monitor=monitor)
    assert epochs(free, monitor, values) == [""] * 4
    assert free.now.best_parameters == {}
    assert made.saved == []


def test_the_end_of_an_epoch() -> None:
    made = trainer(checkpoint=Path("at.pt"))
    made.now = Progress(epoch=3, position=5, step=20, tally=Tally(4, [1.0]))
    epochs(made, "validation_loss", [0.75])
    assert (made.now.epoch, made.now.position, made.now.tally, made._epoch_start) == (4, 0, Tally(), {})
    assert made.saved == [4]  # what goes on from it begins the next epoch
    assert made.board.seen == [(20, {"validation/loss": 0.75, "validation/accuracy": 0.5})]


def test_what_a_step_tells() -> None:
    told: list[Step] = []
    made = trainer(progress=told.append, epochs=7)
    made.now.epoch, made.now.step, made.now.position, made.room.samples = 2, 9, 4, 6
    made._tell([1.5, 0.75, 0.1, 0.2], [], 8)
    made._tell([2.5, float("nan"), 0.1, 0.2], [], None)
    assert told[0] == Step(2, 7, 9, 4, 8, 1.5, 0.75, {"a": 0.1, "b": 0.2}, 0.25, 6)
    assert (told[1].accuracy, told[1].batches) == (None, None)
    assert made.now.losses == [1.5, 2.5]
    scalars = {"loss": 1.5, "accuracy": 0.75, "learning rate": 0.25, "rate/a": 0.1, "rate/b": 0.2}
    assert made.board.seen[0] == (9, scalars)


# --- what workers agree on


def other(**changed: Any) -> tuple[Any, ...]:
    """What another worker says at the end of an epoch."""
    own = {"sums": [3.0, 4.0], "mark": 5, "seconds": 9.0, "limit": 40, "ran": 7, "digest": None, **changed}
    from hasn.backends.snntorch.training.checkpoint import digest_of

    digest = own["digest"] or digest_of({"w": torch.ones(2)})
    return (own["sums"], own["mark"], own["seconds"], own["limit"], own["ran"], digest)


def test_the_workers_validation_adds_up() -> None:
    made = trainer(Fake(0, 2, [other()]))
    made.now.tally.seconds, made.room.limit, made.room.samples = 2.0, 60, 3
    judged = made._agree(Tally(10, [1.0, 2.0]), 5)
    assert (judged.samples, judged.sums) == (10, [4.0, 6.0])
    assert made.now.tally.seconds == 2.0  # worker 0's
    assert (made.room.limit, made.room.samples) == (40, 7)
    assert made.workers.asked == ["the end of an epoch"]


def test_workers_that_have_come_apart() -> None:
    with pytest.raises(InputError) as data:
        trainer(Fake(0, 2, [other(mark=6)]))._agree(Tally(1, [0.0, 0.0]), 5)
    assert (data.value.parameter, data.value.wanted) == ("validation", "the same in all")
    with pytest.raises(TrainingError) as drift:
        trainer(Fake(0, 2, [other(digest="0123456789")]))._agree(Tally(1, [0.0, 0.0]), 5)
    assert drift.value.message == "the workers' parameters differ after epoch 0"
    assert str(drift.value.got).endswith(", 01234567")
    assert len(str(drift.value.got)) == 18
    alone = trainer()
    assert alone._digest() == ""
    assert alone._agree(Tally(1, [1.0, 2.0]), 5).sums == [1.0, 2.0]


def test_which_gradients_gather() -> None:
    network: Any = SimpleNamespace(parameters={"w": torch.ones(1)}, owners={"w": "node"})
    assert type(_gradients(network, options())) is Gradients
    waiting = _gradients(network, options(apply_after={"node": 3}))
    assert isinstance(waiting, Waiting)
    assert waiting.after == {"node": 3}


# --- epochs of a real network


def test_validation_is_the_loss_alone_after_the_epoch() -> None:
    """Without regularisers, weighted by the samples of 10 and 3, with the parameters that the epoch ended with."""
    data, held_out = samples(16), samples(13, 5)
    result = hasn.train(
        net(), data, epochs=2, batch_size=8, validation=held_out, regularisers=[SynapticCost(0.1)], learning_rate=1e-2
    )
    again = hasn.compile(result.graph, precision="float32").run(held_out[0]).output.sum(axis=0).astype(np.float64)
    each = np.log(np.exp(again).sum(axis=1)) - again[np.arange(13), held_out[1]]
    last = result.history[-1]
    assert last.validation_loss == pytest.approx(each.mean(), rel=1e-6)
    assert last.validation_accuracy == np.mean(again.argmax(axis=1) == held_out[1])
    parts = [(held_out[0][:, :10], held_out[1][:10]), (held_out[0][:, 10:], held_out[1][10:])]
    cut = hasn.train(
        net(), data, epochs=2, batch_size=8, validation=parts, regularisers=[SynapticCost(0.1)], learning_rate=1e-2
    )
    assert cut.history[-1].validation_loss == pytest.approx(each.mean(), rel=1e-6)
    assert cut.losses == result.losses  # validation draws nothing
    assert last.loss > each.mean()
    assert 0 < last.seconds < 60
    assert last.batch == 8


def test_a_validation_loss_is_not_there_without_validation() -> None:
    done = hasn.train(net(), samples(8), epochs=1).history[0]
    assert (done.validation_loss, done.validation_accuracy) == (None, None)


def test_a_checkpoint_comes_so_often(tmp_path: Path) -> None:
    """7 updates in an epoch, saved after 3 and 6, and at its end; which go on at updates 4, 7 and not at all."""
    kept: list[int] = []
    path = tmp_path / "at.pt"

    def look(step: Step) -> None:
        kept.append(torch.load(path, weights_only=True)["progress"]["step"] if path.exists() else 0)

    options_: dict[str, Any] = {"epochs": 1, "batch_size": 2, "checkpoint": path, "checkpoint_every": 3}
    hasn.train(net(), samples(14), **options_, progress=look)
    assert kept == [0, 0, 0, 3, 3, 3, 6]
    state = torch.load(path, weights_only=True)
    assert (state["progress"]["step"], state["progress"]["epoch"], state["progress"]["position"]) == (7, 1, 0)
    assert state["settings"]["batch_size"] == "2"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that nothing was left to do does not mean that nothing was learned
        again = hasn.train(net(seed=4), samples(14), **options_, resume=True)
    assert len(again.losses) == 7
    assert again.steps == 7


def test_the_best_parameters_come_back_and_only_if_wanted() -> None:
    """A rate so large that the second epoch is worse than the first."""
    options_: dict[str, Any] = {"batch_size": 16, "learning_rate": 3.0, "validation": samples(24, 5)}
    first = hasn.train(net(), samples(16), epochs=1, **options_)
    last = hasn.train(net(), samples(16), epochs=2, **options_)
    best = hasn.train(net(), samples(16), epochs=2, **options_, keep_best=True)
    found = [epoch.validation_loss or 0.0 for epoch in last.history]
    assert found[0] < found[1]
    for key, value in weights(first.graph).items():
        np.testing.assert_array_equal(weights(best.graph)[key], value)
    assert (weights(last.graph)["w1.weight"] != weights(first.graph)["w1.weight"]).any()
    assert best.stopped == last.stopped == "the last epoch is done"


def test_the_best_is_not_asked_for_when_a_training_goes_on(tmp_path: Path) -> None:
    """Its parameters stand in the checkpoint, and stay there."""
    options_: dict[str, Any] = {"batch_size": 16, "learning_rate": 3.0, "validation": samples(24, 5)}
    path = tmp_path / "at.pt"
    hasn.train(net(), samples(16), epochs=1, checkpoint=path, keep_best=True, **options_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = hasn.train(net(), samples(16), epochs=2, checkpoint=path, resume=True, **options_)
    last = hasn.train(net(), samples(16), epochs=2, **options_)
    for key, value in weights(last.graph).items():
        np.testing.assert_array_equal(weights(again.graph)[key], value)


def test_seconds_count_what_was_before_and_the_validation(tmp_path: Path) -> None:
    """A checkpoint in mid-epoch knows the seconds so far; those after it are added."""
    path = tmp_path / "at.pt"

    def stop(step: Step) -> None:
        sleep(0.02)
        if step.step == 2:
            raise ZeroDivisionError

    options_: dict[str, Any] = {"epochs": 1, "batch_size": 8, "checkpoint": path, "checkpoint_every": 1, "resume": True}
    options_["monitor"] = "loss"
    with pytest.raises(ZeroDivisionError):
        hasn.train(net(), samples(24), **options_, progress=stop)
    state = torch.load(path, weights_only=True)
    assert 0 < state["progress"]["tally"]["seconds"] < 60
    assert state["progress"]["tally"]["batch"] == 8
    state["progress"]["tally"]["seconds"] = 1000.0
    torch.save(state, path)
    seal(path)

    def slow(epoch: int) -> Any:
        sleep(0.05)
        return samples(4)

    done = hasn.train(net(), samples(24), **options_, validation=slow).history[0]
    assert 1000.05 <= done.seconds < 1060


# --- what is made of a call


def test_data_and_validation_as_they_are_used() -> None:
    lowering = {"dt": None, "method": "euler", "reset": "zero", "timing": "synchronous"}
    network = TrainedNetwork(net(), {}, None, lowering, "float64", {})
    given, workers = options(batch_size=5, budget=70), Workers()
    scorer = Scorer(network, loss_of("rate", network.program), given)
    own = torch.Generator()
    data, validation = (
        api._data(samples(4), network, scorer, given, what, workers, own) for what in ("data", "validation")
    )
    assert data.generator is own
    assert (data.shuffle, validation.shuffle) == (True, False)
    assert api._data(samples(4), network, scorer, options(shuffle=False), "data", workers, None).shuffle is False
    for one, name in ((data, "data"), (validation, "validation")):
        assert (one.batch_size, one.budget, one.what, one.shapes, one.workers) == (5, 70, name, {"in": (12,)}, workers)
        with pytest.raises(InputError, match=f"{name} labels: no such class"):
            one.check(torch.tensor([3]))
    assert api._data(None, network, scorer, given, "validation", workers, None) is None
    assert api._data(None, network, scorer, given, "data", workers, None).given is None


class Writer:
    """Says whether it was closed."""

    closed = False

    def add_scalar(self, tag: str, value: float, step: int) -> None: ...

    def close(self) -> None:
        self.closed = True


def test_a_writer_of_the_callers_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with api._board(options()) as board:
        assert board is None
    own = Writer()
    with api._board(options(log=own, log_queue=3)) as board:
        assert board is not None
        assert board._queue.maxsize == 3
    assert not own.closed
    assert not board._thread.is_alive()
    made = Writer()
    monkeypatch.setattr("hasn.backends.snntorch.training.board.writer_of", lambda log: made)
    with pytest.raises(ZeroDivisionError), api._board(options(log="folder")):
        raise ZeroDivisionError
    assert made.closed


def test_every_argument_arrives_where_it_belongs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No two of a kind have the same value."""
    from hasn.backends.snntorch.training import network

    seen: list[Any] = []
    monkeypatch.setattr(api, "_check", lambda graph, options, validation: seen.append(options))

    def optimizer(groups: Any) -> Any: ...
    def schedule(optimizer_: Any) -> Any: ...
    def term(activity: Any) -> Any: ...
    def progress(step: Step) -> None: ...

    class Made(network.TrainedNetwork):
        def __init__(self, *given: Any) -> None:
            seen.append(given)
            raise ZeroDivisionError

    monkeypatch.setattr(network, "TrainedNetwork", Made)
    call: dict[str, Any] = {
        "epochs": 2, "loss": "count", "optimizer": optimizer, "learning_rate": 0.5, "schedule": schedule,
        "batch_first": True,
        "shuffle": False, "batch_size": 3, "budget": 4, "accumulate": 5, "apply_after": 6, "clip": 0.25, "amp": "bf16",
        "recompute": 7, "patience": 8, "monitor": "accuracy", "keep_best": True, "checkpoint_every": 9, "resume": True,
        "log": "log", "log_queue": 10, "progress": progress, "seed": 11, "precision": "float64",
    }  # fmt: skip
    lowering = {"dt": 2e-3, "method": "exact", "reset": "subtract", "timing": "hardware"}
    graph, drop, (spikes, labels) = net(), hasn.training.Dropout(0.1), samples(2)
    with pytest.raises(ZeroDivisionError):
        hasn.train(
            graph, (spikes.swapaxes(0, 1), labels), **call, **lowering, learn=("tau",), freeze="w1",
            during={"w2": drop}, regularisers=[term], checkpoint=str(tmp_path / "at.pt"), surrogate="sigmoid", validation=0.5,
        )  # fmt: skip
    found, given = seen
    wanted = {
        **call, "learn": {"tau": "population"}, "regularisers": (term,), "checkpoint": tmp_path / "at.pt",
        "backend": {"surrogate": "sigmoid"}, "freeze": ("w1",), "during": {"w2": (drop,)},
        "tbptt": None, "carry": False, "share": 0.5,
    }  # fmt: skip
    assert {name: value for name, value in vars(found).items() if name not in ("settings", "hidden")} == wanted
    assert given[:6] == (graph, {"tau": "population"}, 7, lowering, "float64", {"surrogate": "sigmoid"})
    assert given[6:] == (("w1",), {"w2": (drop,)})


def test_the_monitor_follows_the_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the loss of what there is."""
    seen: list[str] = []
    monkeypatch.setattr(api, "_check", lambda graph, options, validation: seen.append(options.monitor) or 1 / 0)
    for call in ({}, {"validation": samples(2)}, {"validation": samples(2), "monitor": "accuracy"}):
        with pytest.raises(ZeroDivisionError):
            hasn.train(net(), samples(2), epochs=1, **call)
    assert seen == ["loss", "validation_loss", "accuracy"]


def test_data_are_looked_at_when_a_training_goes_on(tmp_path: Path) -> None:
    """Its first epoch here is not the first of all."""
    options_: dict[str, Any] = {"batch_size": 16, "checkpoint": tmp_path / "at.pt"}
    hasn.train(net(), samples(16), epochs=1, **options_)
    inputs, labels = samples(16)
    inputs = np.where(np.arange(inputs.size).reshape(inputs.shape) == 5, np.nan, inputs)
    with pytest.raises(hasn.HasnError, match="the data have a value that is not finite"):
        hasn.train(net(), (inputs, labels), epochs=2, resume=True, **options_)
