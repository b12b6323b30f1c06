"""Checkpoints whose digest holds and whose content is not what a training can go on from: FileErrors, all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hasn
from hasn.backends.snntorch.training.checkpoint import write_checkpoint
from hasn.backends.snntorch.training.checkpoint_form import Malformed, check_form
from hasn.errors import FileError
from tests.unit.backends.snntorch.training.task import net, samples

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a training of one epoch, in the middle of the second, has in its checkpoint."""
    path = tmp_path_factory.mktemp("run") / "at.pt"

    class Stop(Exception):
        pass

    def stop(step: Any) -> None:
        if step.epoch == 1 and step.batch == 2:
            raise Stop

    with pytest.raises(Stop):
        hasn.train(net(), drawn, epochs=3, checkpoint=path, checkpoint_every=1, keep_best=True, progress=stop)
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def drawn(epoch: int) -> Any:
    """Data whose order every generator of the process may decide, so that a checkpoint holds their states."""
    return samples()


def resume(state: dict[str, Any], path: Path) -> None:
    write_checkpoint(path, state)
    hasn.train(net(), drawn, epochs=3, checkpoint=path, resume=True, keep_best=True)


def put(*keys: Any, value: Any) -> Edit:
    def edit(state: dict[str, Any]) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return edit


def drop(*keys: Any) -> Edit:
    def edit(state: dict[str, Any]) -> None:
        for key in keys[:-1]:
            state = state[key]
        del state[keys[-1]]

    return edit


def first(part: dict[str, Any]) -> Any:
    return next(iter(part))


def of_first_parameter(change: Callable[[Any], Any]) -> Edit:
    def edit(state: dict[str, Any]) -> None:
        kept = state["moving"]["parameters"]
        kept[first(kept)] = change(kept[first(kept)])

    return edit


def of_the_optimizer(change: Callable[[Any], Any]) -> Edit:
    def edit(state: dict[str, Any]) -> None:
        kept = state["moving"]["optimizer"]["state"][0]
        kept["exp_avg"] = change(kept["exp_avg"])

    return edit


TOP = ["fingerprint", "settings", "moving", "gradients", "progress", "room", "random", "epoch_start", "dropout"]
MOVING = ["parameters", "optimizer", "schedule", "scaler", "masks"]
PROGRESS = ["epoch", "position", "step", "losses", "history", "tally", "best", "waited", "stopped", "best_parameters"]
RANDOM = ["torch", "cuda", "numpy", "python", "data"]
COUNTS = ["epoch", "position", "step", "waited"]
CASES: dict[str, Edit] = {
    **{f"no {key}": drop(key) for key in TOP},
    **{f"{key} is another thing": put(key, value=1.5) for key in TOP},
    **{f"no moving.{key}": drop("moving", key) for key in MOVING},
    **{f"moving.{key} is another thing": put("moving", key, value=[1]) for key in MOVING},
    **{f"no progress.{key}": drop("progress", key) for key in PROGRESS},
    **{f"progress.{key} is another thing": put("progress", key, value={1: "x"}) for key in PROGRESS},
    **{f"no random.{key}": drop("random", key) for key in RANDOM},
    **{f"random.{key} is another thing": put("random", key, value=7) for key in RANDOM},
    **{f"progress.{key} is negative": put("progress", key, value=-1) for key in COUNTS},
    "a part too many": put("more", value=1),
    "progress too much": put("progress", "more", value=1),
    "a parameter less": lambda s: s["moving"]["parameters"].pop(first(s["moving"]["parameters"])),
    "a parameter more": put("moving", "parameters", "other", value=torch.zeros(1)),
    "a parameter of another shape": of_first_parameter(lambda x: x[:-1]),
    "a parameter that would be broadcast": of_first_parameter(lambda x: x[:1]),
    "a parameter of another type": of_first_parameter(lambda x: x.double()),
    "a parameter that is a list": of_first_parameter(lambda x: x.tolist()),
    "a parameter that is not finite": of_first_parameter(lambda x: x * float("nan")),
    "the best is of another shape": lambda s: s["progress"]["best_parameters"].update(
        dict.fromkeys(s["progress"]["best_parameters"], torch.zeros(1))
    ),
    "an optimizer's state of another shape": of_the_optimizer(lambda x: x[:1]),
    "an optimizer's state that is a text": of_the_optimizer(lambda x: "x"),
    "an optimizer's state of a parameter that is not there": put("moving", "optimizer", "state", 99, value={}),
    "an optimizer without groups": put("moving", "optimizer", "param_groups", value=[]),
    "an optimizer with other groups": put("moving", "optimizer", "param_groups", 0, "params", value=[5]),
    "an optimizer whose group lacks its rate": drop("moving", "optimizer", "param_groups", 0, "lr"),
    **{
        f"an optimizer whose {key} is {value!r}": put("moving", "optimizer", "param_groups", 0, key, value=value)
        for key, values in {
            "lr": ["x", None, True, float("nan")], "betas": [[0.9], 0.9, [0.9, "x"]], "amsgrad": [True, 0.5],
            "maximize": [True], "foreach": [1],
        }.items()
        for value in values
    },
    "an optimizer that lacks what it keeps": drop("moving", "optimizer", "state", 0, "exp_avg_sq"),
    "an optimizer that keeps more": put("moving", "optimizer", "state", 0, "max_exp_avg_sq", value=torch.zeros(())),
    "an optimizer's step that is a whole number": put("moving", "optimizer", "state", 0, "step", value=torch.tensor(3)),
    "an optimizer's step that is no tensor": put("moving", "optimizer", "state", 0, "step", value=3.0),
    "one loss less": lambda s: s["progress"]["losses"].pop(),
    "one epoch less": lambda s: s["progress"]["history"].pop(),
    "an epoch without its loss": drop("progress", "history", 0, "loss"),
    "an epoch that took for ever": put("progress", "history", 0, "seconds", value=float("inf")),
    "a tally of texts": put("progress", "tally", "sums", value=["x"]),
    "an epoch's generators that are another thing": put("epoch_start", "python", value=3),
}  # fmt: skip
#: What the generators themselves refuse.
STATES: dict[str, Edit] = {
    "a generator's state that is cut": lambda s: s["random"].update(torch=s["random"]["torch"][:10]),
    "a state of Python's generator that is none": put("random", "python", value=[3, [1, 2], None]),
    "a state of numpy's generator that is none": put("random", "numpy", value=["MT19937"]),
}  # fmt: skip


def test_as_it_is_a_training_goes_on_from_it(at: dict[str, Any], tmp_path: Path) -> None:
    """And every case below changes something that was there."""
    resume(at, tmp_path / "at.pt")
    assert at["progress"]["best_parameters"]
    assert at["epoch_start"]


@pytest.mark.parametrize("name", CASES)
def test_a_part_that_is_not_as_it_should_be(name: str, at: dict[str, Any]) -> None:
    parameters = at["moving"]["parameters"]
    optimizer = torch.optim.Adam([tensor.clone() for tensor in parameters.values()])
    check_form(at, parameters, optimizer)
    state = copy.deepcopy(at)
    CASES[name](state)
    with pytest.raises(Malformed, match=r"."):
        check_form(state, parameters, optimizer)


def make_schedule(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)


SCHEDULES: dict[str, Edit] = {
    "the last epoch is a text": lambda s: s.update(last_epoch="x"),
    "the last epoch is a truth": lambda s: s.update(last_epoch=True),
    "no last epoch": lambda s: s.pop("last_epoch"),
    "rates that are none": lambda s: s.update(base_lrs=[None]),
    "one rate more": lambda s: s.update(base_lrs=[1.0, 1.0]),
    "rates that are a number": lambda s: s.update(base_lrs=1.0),
    "milestones that are a list": lambda s: s.update(milestones=[1, 3]),
    "a switch that is a number": lambda s: s.update(_is_initial=0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_is_not_as_it_should_be(name: str, at: dict[str, Any]) -> None:
    parameters = at["moving"]["parameters"]
    optimizer = torch.optim.Adam([tensor.clone() for tensor in parameters.values()])
    schedule, state = make_schedule(optimizer), copy.deepcopy(at)
    later = make_schedule(torch.optim.Adam(optimizer.param_groups[0]["params"]))
    for _ in range(4):
        later.optimizer.step()
        later.step()
    kept = state["moving"]["schedule"] = later.state_dict()
    assert kept["last_epoch"] == 4
    check_form(state, parameters, None, schedule)
    SCHEDULES[name](kept)
    with pytest.raises(Malformed, match=r"moving\.schedule"):
        check_form(state, parameters, None, schedule)


def test_a_scaler_that_is_not_as_it_should_be(at: dict[str, Any]) -> None:
    scaler, state = torch.amp.GradScaler("cpu", enabled=True), copy.deepcopy(at)
    state["moving"]["scaler"] = scaler.state_dict() | {"scale": 2.0}
    check_form(state, at["moving"]["parameters"], None, None, scaler)
    state["moving"]["scaler"]["scale"] = "x"
    with pytest.raises(Malformed, match=r"moving\.scaler\.scale is 'x'"):
        check_form(state, at["moving"]["parameters"], None, None, scaler)


@pytest.mark.parametrize("chosen", ["adam", "adamw", "sgd"])
def test_every_named_optimizer_goes_on_from_its_own(chosen: str, tmp_path: Path) -> None:
    def rate(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)

    how: dict[str, Any] = {"checkpoint": tmp_path / "x.pt", "optimizer": chosen, "schedule": rate, "learn": ["tau"]}
    hasn.train(net(), samples(), epochs=1, **how)
    losses = hasn.train(net(), samples(), epochs=2, resume=True, **how).losses
    how["checkpoint"] = tmp_path / "y.pt"
    assert hasn.train(net(), samples(), epochs=2, **how).losses == losses


SOME = ["an optimizer whose amsgrad is True", "no progress", "a parameter that would be broadcast",
        "an optimizer's state of another shape", "no random.data"]  # fmt: skip


@pytest.mark.parametrize("name", [*SOME, *STATES])
def test_a_training_says_so_and_stops(name: str, at: dict[str, Any], tmp_path: Path) -> None:
    state = copy.deepcopy(at)
    (CASES | STATES)[name](state)
    with pytest.raises(FileError, match=r"not a checkpoint, or a damaged one: .") as caught:
        resume(state, tmp_path / "at.pt")
    assert caught.value.parameter == str(tmp_path / "at.pt")
    assert caught.value.way_out
    assert "\n" not in str(caught.value)
