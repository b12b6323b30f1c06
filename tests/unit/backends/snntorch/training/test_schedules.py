"""Every optimizer and schedule of torch trains and resumes here, or is refused before training with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as schedules

import hasn
from hasn.errors import OptionError, TrainingError
from tests.unit.backends.snntorch.training.task import net, samples, weights

CALL: dict[str, Any] = {"epochs": 2, "batch_size": 8}
OPTIMIZERS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
)
REFUSED = {
    "LBFGS": r"optimizer: the optimizer computes the loss anew within a step \(a closure\)",
    "SparseAdam": "optimizer: the optimizer takes sparse gradients alone",
    "Muon": "optimizer: the function of the optimizer fails: Muon only supports 2D parameters",
}


def test_the_list_of_optimizers_is_torchs() -> None:
    assert {"Adam", "SGD", "Adagrad", "ASGD", "Rprop", "RMSprop", "NAdam", "RAdam", *list(REFUSED)[:2]} <= set(
        OPTIMIZERS
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str, tmp_path: Path) -> None:
    """It moves the weights and what is learned, and goes on from a checkpoint to the same losses; or is refused."""
    seen: list[Any] = []

    def optimizer(groups: Any) -> Any:
        return getattr(torch.optim, name)(groups, lr=1e-2)

    call: dict[str, Any] = {"optimizer": optimizer, "batch_size": 8}
    if name in REFUSED:
        with pytest.raises(OptionError, match=REFUSED[name]):
            hasn.train(net(), samples(24), epochs=1, **call, progress=seen.append)
        assert not seen
        return
    whole = hasn.train(net(), samples(24), epochs=2, **call, learn="tau")
    hasn.train(net(), samples(24), epochs=1, **call, learn="tau", checkpoint=tmp_path / "at.pt")
    again = hasn.train(net(), samples(24), epochs=2, **call, learn="tau", checkpoint=tmp_path / "at.pt", resume=True)
    assert again.losses == whole.losses
    assert abs(weights(whole.graph)["w1.weight"] - weights(net())["w1.weight"]).max() > 1e-5
    assert abs(weights(whole.graph)["hidden.tau"] - weights(net())["hidden.tau"]).max() > 0


def test_lbfgs_is_refused_where_there_are_two_groups_too() -> None:
    with pytest.raises(OptionError, match=r"optimizer: .*(closure|parameter groups)"):
        hasn.train(net(), samples(8), epochs=1, optimizer=lambda g: torch.optim.LBFGS(g, lr=1), learn="tau")


def test_an_instance_is_refused_and_told_the_function() -> None:
    parameters = [torch.nn.Parameter(torch.ones(2))]
    made = torch.optim.RMSprop(parameters, lr=0.1)
    with pytest.raises(OptionError, match=r"optimizer=lambda groups: torch\.optim\.RMSprop\(groups, lr=\.\.\.\)"):
        hasn.train(net(), samples(8), epochs=1, optimizer=made)
    with pytest.raises(OptionError, match=r"schedule=lambda optimizer: StepLR\(optimizer, \.\.\.\)"):
        hasn.train(net(), samples(8), epochs=1, schedule=schedules.StepLR(made, 2))
    with pytest.raises(OptionError, match="optimizer: the optimizer moves other parameters than those of this network"):
        hasn.train(net(), samples(8), epochs=1, optimizer=lambda groups: made)


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


SCHEDULES: dict[str, Any] = {
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: schedules.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: schedules.StepLR(o, 2),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [1, 3]),
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.5, 3),
    "LinearLR": lambda o: schedules.LinearLR(o, 0.5),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 10),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 4),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 1e-3, 0.1, step_size_up=3),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 0.2, total_steps=6),
    "SequentialLR": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, 0.1, total_iters=2), schedules.StepLR(o, 2)], [2]
    ),
    "ChainedScheduler": lambda o: schedules.ChainedScheduler(
        [schedules.LinearLR(o, 0.1, total_iters=2), schedules.ExponentialLR(o, 0.9)]
    ),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, patience=0, threshold=10.0),
}


def test_the_list_of_schedules_is_torchs() -> None:
    base = {"LRScheduler", "_LRScheduler"}
    known = {
        n for n, kind in vars(schedules).items() if isinstance(kind, type) and issubclass(kind, schedules.LRScheduler)
    }
    assert known - base == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name: str, tmp_path: Path) -> None:
    """It moves the rate, and a training that goes on has the rates and losses of one in one go."""
    rates: dict[str, list[float]] = {"whole": [], "parts": []}
    call: dict[str, Any] = {"optimizer": sgd, "schedule": SCHEDULES[name], "batch_size": 8}
    whole = hasn.train(net(), samples(24), epochs=2, **call, progress=lambda s: rates["whole"].append(s.learning_rate))
    assert len(set(rates["whole"])) > 1
    parts: dict[str, Any] = {**call, "checkpoint": tmp_path / "at.pt"}
    parts["progress"] = lambda s: rates["parts"].append(s.learning_rate)
    hasn.train(net(), samples(24), epochs=1, **parts)
    again = hasn.train(net(), samples(24), epochs=2, **parts, resume=True)
    assert rates["parts"] == rates["whole"]
    assert again.losses == whole.losses


@pytest.mark.parametrize("monitor", ["loss", "validation_loss", "accuracy", "validation_accuracy"])
def test_a_plateau_is_one_of_the_monitored_value(monitor: str) -> None:
    """With no patience the rate halves after each epoch that is no better than the best before."""
    rates: list[float] = []
    mode = "min" if monitor.endswith("loss") else "max"
    result = hasn.train(
        net(), samples(24), epochs=6, batch_size=24, learning_rate=0.3, monitor=monitor, validation=samples(12, 5),
        schedule=lambda o: schedules.ReduceLROnPlateau(o, mode, factor=0.5, patience=0, threshold=0.0),
        progress=lambda s: rates.append(s.learning_rate),
    )  # fmt: skip
    values = [getattr(epoch, monitor) for epoch in result.history]
    wanted, rate, best = [], 0.3, None
    for value in values:
        wanted.append(rate)
        worse = best is not None and (value >= best if mode == "min" else value <= best)
        rate *= 0.5 if worse else 1.0
        best = value if not worse else best
    assert rates == pytest.approx(wanted, rel=1e-12)
    assert len(set(rates)) > 1


def test_schedules_that_cannot_be_stepped_here() -> None:
    def refused(words: str, schedule: Any, **more: Any) -> None:
        seen: list[Any] = []
        with pytest.raises(OptionError, match=words):
            hasn.train(net(), samples(24), **CALL, schedule=schedule, progress=seen.append, **more)
        assert not seen

    plateau = SCHEDULES["ReduceLROnPlateau"]
    refused(
        "schedule: the function of the schedule fails: ChainedScheduler does not support `ReduceLROnPlateau`",
        lambda o: schedules.ChainedScheduler([schedules.StepLR(o, 2), plateau(o)]),
    )
    refused("would take a better accuracy for a worse one; got .*mode='min'.*wanted mode='max'", plateau,
            monitor="accuracy")  # fmt: skip
    refused("would take a better loss for a worse one", lambda o: schedules.ReduceLROnPlateau(o, "max"))
    refused("schedule: no schedule comes of it; got NoneType", lambda o: None)
    refused("schedule: the function takes .*missing a required argument: 'gamma'", schedules.ExponentialLR)
    refused("schedule: .*takes no argument", lambda: None)
    refused("optimizer: .*takes no argument", None, optimizer=lambda: None)


def test_a_schedule_that_ends_before_the_training_says_so() -> None:
    with pytest.raises(TrainingError, match=r"schedule: the schedule has come to its end.*epochs times the updates"):
        hasn.train(
            net(), samples(24), **CALL, optimizer=sgd, schedule=lambda o: schedules.OneCycleLR(o, 1, total_steps=5)
        )


def test_a_resume_has_the_plateaus_count(tmp_path: Path) -> None:
    """Two bad epochs, one before and one after the checkpoint."""

    def schedule(o: Any) -> Any:
        return schedules.ReduceLROnPlateau(o, patience=1, threshold=0.99)

    call: dict[str, Any] = {"batch_size": 24, "schedule": schedule, "checkpoint": tmp_path / "at.pt"}
    hasn.train(net(), samples(24), epochs=2, **call)
    rates: list[float] = []
    hasn.train(net(), samples(24), epochs=4, **call, resume=True, progress=lambda s: rates.append(s.learning_rate))
    np.testing.assert_allclose(rates, [1e-3, 1e-4], rtol=1e-12)
