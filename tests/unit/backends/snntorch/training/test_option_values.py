"""Options by themselves: what is refused, and what of them a checkpoint and the other workers must agree with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hasn.backends.snntorch.training import RateTarget, count
from hasn.backends.snntorch.training.choice import learned
from hasn.backends.snntorch.training.options import Options
from hasn.backends.snntorch.training.pipeline_options import PipelineOptions
from hasn.errors import OptionError


def adam(groups: Any) -> Any:
    return groups


def halving(optimizer: Any) -> Any:
    return optimizer


DEFAULTS: dict[str, Any] = {
    "epochs": 3, "loss": "rate", "optimizer": "adam", "learning_rate": 1e-3, "schedule": None, "shuffle": True,
    "batch_first": None,
    "batch_size": 32, "budget": None, "accumulate": 1, "apply_after": None, "clip": None, "amp": None,
    "recompute": None, "learn": {}, "regularisers": (), "patience": None, "monitor": "loss", "keep_best": False,
    "checkpoint": None, "checkpoint_every": None, "resume": False, "log": None, "log_queue": 1000, "progress": None,
    "seed": 0, "precision": "float32", "backend": {},
}  # fmt: skip


def options(**changed: Any) -> Options:
    return Options(**{**DEFAULTS, **changed})


def refused(**changed: Any) -> OptionError:
    with pytest.raises(OptionError) as caught:
        options(**changed)
    return caught.value


WHOLE = ("epochs", "batch_size", "accumulate", "log_queue", "budget", "recompute", "patience", "checkpoint_every")


@pytest.mark.parametrize("name", WHOLE)
def test_counts_are_whole_and_from_1_on(name: str) -> None:
    more: dict[str, Any] = {"checkpoint": Path("at.pt")}
    for value in (1, 2, 10**6):
        assert getattr(options(**{name: value}, **more), name) == value
    for value in (0, -1, True, 1.0, "2"):
        error = refused(**{name: value}, **more)
        assert (error.parameter, error.got, error.wanted) == (name, repr(value), "an integer >= 1")
    if DEFAULTS[name] is not None:
        assert refused(**{name: None}, **more).got == "None"


@pytest.mark.parametrize("name", ["learning_rate", "clip"])
def test_rates_are_positive_and_finite(name: str) -> None:
    for value in (1, 1e-300, 0.5, 1e300):
        options(**{name: value})
    for value in (0, 0.0, -1e-9, float("inf"), float("nan"), True, "1"):
        error = refused(**{name: value})
        assert (error.parameter, error.got, error.wanted) == (name, repr(value), "a number > 0")


def test_names_that_are_known() -> None:
    for name, known in (
        ("amp", (None, "bf16", "fp16")), ("monitor", ("validation_loss", "validation_accuracy", "loss", "accuracy")),
        ("optimizer", ("adam", "adamw", "sgd", adam)), ("schedule", (None, halving)),
    ):  # fmt: skip
        for value in known:
            options(**{name: value})
        error = refused(**{name: "magic"})
        assert (error.parameter, error.got) == (name, "'magic'")
    assert refused(amp="int8").wanted == "None, bf16, fp16"
    assert refused(optimizer=3).wanted == "adam, adamw, sgd"
    assert "torch.optim.lr_scheduler" in str(refused(schedule="step").wanted)


@pytest.mark.parametrize("matmul", ["split-bf16", "bf16"])
def test_two_precisions_of_the_same_products(matmul: str) -> None:
    options(amp="bf16", backend={"matmul": "float32"})
    options(amp="bf16", backend={"surrogate": "sigmoid"})
    options(backend={"matmul": matmul})
    error = refused(amp="fp16", backend={"matmul": matmul})
    assert (error.parameter, error.got) == ("amp", f"matmul={matmul!r} and amp='fp16'")


def test_what_needs_a_checkpoint_file() -> None:
    for changed, name in (
        ({"resume": True}, "resume"), ({"checkpoint_every": 2}, "checkpoint_every"),
        ({"resume": True, "checkpoint_every": 2}, "resume"),
    ):  # fmt: skip
        error = refused(**changed)
        assert (error.parameter, error.way_out) == (name, "Pass checkpoint=PATH.")
        options(**changed, checkpoint=Path("at.pt"))


def test_gradients_that_wait() -> None:
    for after in (1, 5, {"w1": 2, "w2": 1}, {}):
        options(apply_after=after, amp="bf16")
    for after, got in ((0, "0"), ({"w1": 2, "w2": 0}, "0"), ({"w1": 1.5}, "1.5"), (True, "True")):
        error = refused(apply_after=after)
        assert (error.parameter, error.got) == ("apply_after", got)
    error = refused(apply_after=1, amp="fp16")
    assert (error.parameter, error.got, error.way_out) == (
        "apply_after", "amp='fp16'", "Pass amp='bf16', which needs no scaler.",
    )  # fmt: skip
    options(amp="fp16")


#: Option -> another value of it: what a checkpoint keeps it by.
SETTINGS: dict[str, Any] = {
    "loss": "count", "optimizer": "sgd", "learning_rate": 1e-2, "shuffle": False, "batch_size": 31, "budget": 100,
    "accumulate": 2, "apply_after": {"w1": 2}, "clip": 1.0, "amp": "bf16", "learn": {"tau": "neuron"},
    "regularisers": (RateTarget(0.1),), "seed": 1, "precision": "float64", "monitor": "accuracy", "schedule": halving,
}  # fmt: skip
#: The same for what workers must agree on beside those, and not a checkpoint: a training may go on for longer.
COURSE: dict[str, Any] = {
    "epochs": 4, "patience": 2, "keep_best": True, "recompute": 5,
    "checkpoint_every": 3, "resume": True,
}  # fmt: skip


def test_each_option_belongs_to_the_settings_or_to_the_course() -> None:
    """Where a run logs, and on which device it runs, is its own affair."""
    own = {"batch_first", "log", "log_queue", "progress", "backend", "checkpoint"}
    assert set(SETTINGS) | set(COURSE) | own == set(DEFAULTS)
    before = options(checkpoint=Path("at.pt"))
    for name, value in {**SETTINGS, **COURSE}.items():
        after = options(**{name: value}, checkpoint=Path("at.pt"))
        changed = {key for key in before.settings if after.settings[key] != before.settings[key]}
        assert changed == ({name} & set(SETTINGS)), name
        moved = {key for key in before.course if after.course[key] != before.course[key]}
        assert moved == ({name} & set(COURSE)), name
    assert options().course["checkpoint"] == "False"
    assert before.course["checkpoint"] == options(checkpoint=Path("another.pt")).course["checkpoint"] == "True"
    assert options(log="folder", log_queue=5, progress=print).settings == options().settings


def test_options_of_the_backend_are_settings_but_for_the_device() -> None:
    plain = options()
    assert set(options(backend={"device": "cuda", "surrogate": "sigmoid"}).settings) - set(plain.settings) == {
        "surrogate"
    }
    sigmoid, fast = (options(backend={"surrogate": name}) for name in ("sigmoid", "fast_sigmoid"))
    assert sigmoid.settings["surrogate"] != fast.settings["surrogate"]


class Term:
    """A regulariser whose text is an address."""

    def __call__(self, activity: Any) -> Any:
        return 0.0


def test_settings_are_the_same_in_another_process() -> None:
    """No address is in them, and no order of a dict."""
    terms = [Term(), partial(halving), adam, lambda groups: groups]
    kept = options(regularisers=terms, learn={"tau": "neuron", "delay": "population"}, loss=count(0.5), optimizer=adam)
    assert not [value for value in kept.settings.values() if "0x" in value]
    assert "Term" in kept.settings["regularisers"]
    assert "partial" in kept.settings["regularisers"]
    assert "adam" in kept.settings["regularisers"]
    assert kept.shared["optimizer"] == "adam"
    assert kept.settings["optimizer"].startswith("adam(code ")
    again = options(regularisers=[Term(), *terms[1:]], learn={"delay": "population", "tau": "neuron"}, loss=count(0.5))
    for name in ("regularisers", "learn", "loss"):
        assert kept.settings[name] == again.settings[name]
    assert options(loss=count(0.5)).settings["loss"] != options(loss=count(0.6)).settings["loss"]
    assert options(loss=count(0.5)).settings["loss"] != options(loss="count").settings["loss"]
    assert options(apply_after={"w1": 2}).settings != options(apply_after={"w1": 3}).settings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((), {}),
        ("tau", {"tau": "population"}),
        (["delay", "tau"], {"delay": "population", "tau": "population"}),
        ({"threshold": "neuron", "tau": "population"}, {"threshold": "neuron", "tau": "population"}),
    ],
)
def test_what_is_learned(given: Any, wanted: dict[str, str]) -> None:
    assert learned(given) == wanted


@pytest.mark.parametrize(
    ("given", "got", "wanted"),
    [
        ("weights", "'weights'", "weight, tau, threshold, delay"),
        (("tau", "taus"), "'taus'", "weight, tau, threshold, delay"),
        ({"tau": "each"}, "'each'", "population, neuron"),
        ({"tau": "neuron", "delay": "tau"}, "'tau'", "population, neuron"),
    ],
)
def test_what_cannot_be_learned(given: Any, got: str, wanted: str) -> None:
    with pytest.raises(OptionError) as caught:
        learned(given)
    assert (caught.value.parameter, caught.value.got, caught.value.wanted) == ("learn", got, wanted)


# --- of a pipeline

PIPELINE: dict[str, Any] = {
    "micro_batches": 4, "pipeline": "1f1b", "optimizer": "adam", "learning_rate": 1e-3, "schedule": None, "clip": None,
    "learn": {}, "timeout": 300.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("micro_batches", 0), ("learning_rate", 0), ("timeout", 0.0), ("timeout", float("inf")), ("clip", -1.0),
        ("pipeline", "zb"), ("optimizer", "lbfgs"), ("schedule", "step"),
    ],
)  # fmt: skip
def test_options_of_a_pipeline(name: str, wrong: Any) -> None:
    with pytest.raises(OptionError) as caught:
        PipelineOptions(**{**PIPELINE, name: wrong})
    assert (caught.value.parameter, caught.value.got) == (name, repr(wrong))


@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_pipeline_fits_its_processes(clip: float | None) -> None:
    """1F1B needs a micro-batch for each stage; with all forwards first, any number does."""
    stages: Any = ("one", "two", "three")
    for micro_batches in (3, 4):
        PipelineOptions(**{**PIPELINE, "micro_batches": micro_batches, "clip": clip}).fit(stages, 3)
    PipelineOptions(**{**PIPELINE, "micro_batches": 1, "pipeline": "gpipe"}).fit(stages, 3)
    with pytest.raises(OptionError) as caught:
        PipelineOptions(**{**PIPELINE, "micro_batches": 2}).fit(stages, 3)
    assert (caught.value.parameter, caught.value.got) == ("micro_batches", 2)
    assert caught.value.wanted == ">= 3 for the pipeline '1f1b'"
    for processes in (2, 4):
        with pytest.raises(OptionError) as caught:
            PipelineOptions(**PIPELINE).fit(stages, processes)
        assert (caught.value.parameter, caught.value.got) == ("stages", f"3 stages, {processes} processes")
        assert caught.value.way_out == f"Start it with torchrun --nproc-per-node 3, or pass stages={processes}."
