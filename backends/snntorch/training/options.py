"""The options of :func:`hasn.train`, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from hasn.backends.snntorch.training.pruning import Pruning
from hasn.backends.snntorch.training.result import Step
from hasn.backends.snntorch.training.sameness import described
from hasn.errors import OptionError

#: Optimizers by name: where they are in torch.optim.
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
MONITORS = ("validation_loss", "validation_accuracy", "loss", "accuracy")
AMP = {"bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Options:
    """See :func:`hasn.train`, whose arguments these are."""

    epochs: int
    loss: Any
    optimizer: str | Callable[[Any], Any]
    learning_rate: float | Mapping[str, float]
    schedule: Callable[[Any], Any] | None
    shuffle: bool
    batch_first: bool | None
    batch_size: int
    budget: int | None
    accumulate: int
    apply_after: int | Mapping[str, int] | None
    clip: float | None
    amp: str | None
    recompute: int | None
    learn: Mapping[str, Any]
    regularisers: Sequence[Callable[[Any], Any]]
    patience: int | None
    monitor: str
    keep_best: bool
    checkpoint: Path | None
    checkpoint_every: int | None
    resume: bool
    log: Any
    log_queue: int
    progress: Callable[[Step], object] | None
    seed: int | None
    precision: str
    backend: Mapping[str, Any]
    freeze: tuple[str, ...] = ()
    during: Mapping[str, Any] = field(default_factory=dict)
    tbptt: int | None = None
    carry: bool = False
    #: Of the data, that validation is; None: it has data of its own, or there is none.
    share: float | None = None
    masks: Any = None
    pruning: Any = None
    #: What a checkpoint must agree with, beside the graph.
    settings: dict[str, str] = field(init=False)
    #: Setting -> what of it shows nothing of itself, and so is not compared.
    hidden: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "log_queue"):
            check_whole(name, getattr(self, name))
        for name in ("budget", "recompute", "tbptt", "patience", "checkpoint_every"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name))
        self._check_threshold()
        self._check_pieces()
        if self.pruning is not None and not isinstance(self.pruning, Pruning):
            wanted = "hasn.training.Pruning(0.9, end=...)"
            raise OptionError("no pruning", parameter="pruning", got=repr(self.pruning), wanted=wanted)
        for rate in self.learning_rate.values() if isinstance(self.learning_rate, Mapping) else (self.learning_rate,):
            check_positive("learning_rate", rate)
        if self.clip is not None:
            check_positive("clip", self.clip)
        check_one_of("amp", self.amp, (None, *AMP))
        if self.amp is not None and self.backend.get("matmul", "float32") != "float32":
            got = f"matmul={self.backend['matmul']!r} and amp={self.amp!r}"
            raise OptionError("two precisions of the same products", parameter="amp", got=got, wanted="one of them")
        check_one_of("monitor", self.monitor, MONITORS)
        check_optimizer(self.optimizer, self.schedule)
        if callable(self.loss):
            check_takes("loss", self.loss, "outputs", "labels")
        for term in self.regularisers:
            check_takes("regularisers", term, "activity")
        if self.progress is not None:
            check_takes("progress", self.progress, "step")
        if self.checkpoint is None and (self.checkpoint_every is not None or self.resume):
            name = "resume" if self.resume else "checkpoint_every"
            raise OptionError("there is no checkpoint file", parameter=name, way_out="Pass checkpoint=PATH.")
        looked = {name: described(value) for name, value in self._compared().items()}
        object.__setattr__(self, "settings", {name: text for name, (text, _) in looked.items()})
        object.__setattr__(self, "hidden", {name: hidden for name, (_, hidden) in looked.items() if hidden})

    def _compared(self) -> dict[str, Any]:
        names = (
            "loss", "optimizer", "learning_rate", "schedule", "shuffle", "batch_size", "budget", "accumulate",
            "apply_after", "clip", "amp", "learn", "regularisers", "monitor", "seed", "precision",
        )  # fmt: skip
        given = {name: getattr(self, name) for name in names}
        # The first name that means a parameter counts, so the order does.
        given["learning_rate"] = _in_order(self.learning_rate)
        given["learn"] = {kind: _in_order(chosen) for kind, chosen in self.learn.items()}
        # Options that a checkpoint of before they were there goes on without.
        later = ("freeze", "during", "tbptt", "carry", "masks", "pruning")
        given |= {name: getattr(self, name) for name in later if getattr(self, name)}
        given |= {} if self.share is None else {"validation": float(self.share)}  # or what was trained would judge
        given |= {name: value for name, value in self.backend.items() if name != "device"}
        return given

    @property
    def shared(self) -> dict[str, str]:
        """What workers must agree on; functions by name, since each may hold its worker's own things."""
        return {name: described(value, inside=False)[0] for name, value in self._compared().items()}

    @property
    def course(self) -> dict[str, str]:
        """What workers must agree on beside those, or one of them stops before the others."""
        names = ("epochs", "patience", "keep_best", "recompute", "checkpoint_every", "resume")
        return {name: repr(getattr(self, name)) for name in names} | {"checkpoint": str(self.checkpoint is not None)}

    def _check_pieces(self) -> None:
        if not isinstance(self.carry, bool):
            raise OptionError("no such value", parameter="carry", got=repr(self.carry), wanted="True or False")
        if self.recompute is not None and (self.carry or self.tbptt is not None):
            got = "recompute with " + ("carry" if self.carry else "tbptt")
            raise OptionError(
                "two ways to keep less of a sequence", parameter="recompute", got=got, wanted="one of them"
            )
        if self.carry and self.checkpoint_every is not None:
            way_out = "Leave it out: a checkpoint is written at every epoch's end."
            got = "checkpoint_every with carry"
            raise OptionError("no checkpoint holds the carried states", parameter="carry", got=got, way_out=way_out)
        if self.carry and "delay" in self.learn:
            got = "learn='delay' with carry"
            raise OptionError("values under way were sent with other delays", parameter="carry", got=got)

    def _check_threshold(self) -> None:
        if self.apply_after is None:
            return
        after = self.apply_after.values() if isinstance(self.apply_after, Mapping) else (self.apply_after,)
        for count in after:
            check_whole("apply_after", count)
        if self.amp == "fp16":
            raise OptionError(
                "gradients that wait for others cannot be scaled, since the scale changes meanwhile",
                parameter="apply_after",
                got="amp='fp16'",
                way_out="Pass amp='bf16', which needs no scaler.",
            )


def _in_order(value: Any) -> Any:
    return list(value.items()) if isinstance(value, Mapping) else value


def check_optimizer(optimizer: Any, schedule: Any) -> None:
    """Refuse a name that is no optimizer's, a schedule that is no function, and what they would make."""
    if hasattr(optimizer, "param_groups"):
        kind = type(optimizer).__name__
        raise OptionError(
            "an optimizer of other parameters: those of the compiled network are made here",
            parameter="optimizer",
            got=f"a {kind}",
            wanted=f"{', '.join(OPTIMIZERS)}, or a function of the parameter groups",
            way_out=f"Pass optimizer=lambda groups: torch.optim.{kind}(groups, lr=...).",
        )
    if not callable(optimizer):
        check_one_of("optimizer", optimizer, tuple(OPTIMIZERS))
    else:
        check_takes("optimizer", optimizer, "groups")
    if schedule is not None and not callable(schedule):
        made = hasattr(schedule, "state_dict")
        wanted = "a function of the optimizer that gives one of torch.optim.lr_scheduler"
        name = type(schedule).__name__
        raise OptionError(
            "no schedule",
            parameter="schedule",
            got=f"a {name}, which is of another optimizer" if made else repr(schedule),
            wanted=wanted,
            way_out=f"Pass schedule=lambda optimizer: {name}(optimizer, ...)." if made else None,
        )
    if schedule is not None:
        check_takes("schedule", schedule, "optimizer")


def check_takes(name: str, function: Any, *given: str) -> None:
    """Refuse a function that cannot be called with these arguments, before torch or Python do in other words."""
    try:
        form = signature(function)
    except (TypeError, ValueError):  # of C, which does not say
        return
    try:
        form.bind(*given)
    except TypeError as error:
        takes = "takes no argument" if not form.parameters else f"takes {form}"
        raise OptionError(
            f"the function {takes}, and it is called with {' and '.join(given)}",
            parameter=name,
            got=str(error),
            wanted=f"a function ({', '.join(given)})",
        ) from None


def check_positive(name: str, value: Any) -> None:
    """Refuse all but finite numbers above 0."""
    if isinstance(value, bool) or not (isinstance(value, int | float) and 0 < value < float("inf")):
        raise OptionError("no such value", parameter=name, got=repr(value), wanted="a number > 0")


def check_not_negative(name: str, value: Any) -> None:
    """Refuse all but finite numbers from 0 on."""
    if isinstance(value, bool) or not (isinstance(value, int | float) and 0 <= value < float("inf")):
        raise OptionError("no such value", parameter=name, got=repr(value), wanted="a number >= 0")


def check_whole(name: str, value: Any) -> None:
    """Refuse all but whole numbers from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError("no such number", parameter=name, got=repr(value), wanted="an integer >= 1")


def check_one_of(name: str, value: Any, known: tuple[Any, ...]) -> None:
    """Refuse what is not among the known."""
    if value not in known:
        wanted = ", ".join(str(k) for k in known)
        raise OptionError(f"no such {name}", parameter=name, got=repr(value), wanted=wanted)
