"""What moves the parameters: optimizer, schedule, gradient scaler and clipping, with their state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training import large
from hasn.backends.snntorch.training.choice import RATE, groups_of
from hasn.backends.snntorch.training.consolidation import Watcher
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.options import OPTIMIZERS, Options
from hasn.errors import OptionError, TrainingError
from hasn.ir.hdf5 import first_line

if TYPE_CHECKING:
    from torch import Tensor


def optimizer_of(
    chosen: str | Callable[[Any], Any],
    learning_rate: float | Mapping[str, float],
    weights: Mapping[str, Tensor],
    raw: Mapping[str, Tensor],
) -> Any:
    """The optimizer of some parameters, of which there must be one.

    Args:
        chosen: its name, or a function of the parameter groups.
        learning_rate: of a named one, or by name; see :func:`hasn.backends.snntorch.training.choice.groups_of`.
        weights: weights, biases and scales.
        raw: what stands for learned time constants, thresholds and delays.

    Raises:
        OptionError: the function gives no optimizer, or a name means no parameter.
    """
    import torch

    groups = groups_of(weights, raw, learning_rate)
    if isinstance(chosen, str):
        plain = [{key: value for key, value in group.items() if key != "param_names"} for group in groups]
        rate = RATE if isinstance(learning_rate, Mapping) else learning_rate
        made: Any = getattr(torch.optim, OPTIMIZERS[chosen])(plain, lr=rate)
    else:
        made = made_by(chosen, groups, "optimizer")
    if not isinstance(made, torch.optim.Optimizer):
        got = type(made).__name__
        raise OptionError("no torch.optim.Optimizer comes of it", parameter="optimizer", got=got)
    _check_steps(made)
    own = {id(tensor) for tensor in (*weights.values(), *raw.values())}
    if any(id(tensor) not in own for group in made.param_groups for tensor in group["params"]):
        raise OptionError(
            "the optimizer moves other parameters than those of this network",
            parameter="optimizer",
            got=type(made).__name__,
            way_out="Use the groups that the function is given: lambda groups: torch.optim.SGD(groups, lr=0.1).",
        )
    return made


def made_by(function: Callable[[Any], Any], given: Any, name: str) -> Any:
    """What the function of an option makes; torch refuses values in its constructors.

    Raises:
        OptionError: with torch's reason.
    """
    try:
        return function(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"the function of the {name} fails: {first_line(error)}", parameter=name) from error


def schedule_of(chosen: Callable[[Any], Any] | None, optimizer: Any, monitor: str) -> Any:
    """The schedule of an optimizer's rates, if one is wanted.

    Args:
        chosen: a function of the optimizer.
        optimizer: whose rates it moves.
        monitor: what a schedule of the kind of ReduceLROnPlateau is told.

    Raises:
        OptionError: the function gives no schedule, or one that cannot be stepped here.
    """
    if chosen is None:
        return None
    schedule = made_by(chosen, optimizer, "schedule")
    if not hasattr(schedule, "step") or not hasattr(schedule, "state_dict"):
        raise OptionError(
            "no schedule comes of it",
            parameter="schedule",
            got=type(schedule).__name__,
            wanted="one of torch.optim.lr_scheduler",
            way_out="Pass a function that makes it: schedule=lambda optimizer: StepLR(optimizer, 100).",
        )
    mode = getattr(schedule, "mode", None) if watches(schedule) else None
    wanted = "min" if monitor.endswith("loss") else "max"
    if mode in ("min", "max") and mode != wanted:
        raise OptionError(
            f"the schedule would take a better {monitor} for a worse one",
            parameter="schedule",
            got=f"{type(schedule).__name__}(mode={mode!r}) and monitor={monitor!r}",
            wanted=f"mode={wanted!r}",
        )
    return schedule


def watches(schedule: Any) -> bool:
    """Whether a schedule's step wants to be told a figure, as ReduceLROnPlateau's does."""
    return _asks(schedule)


def _asks(thing: Any) -> bool:
    """Whether a thing's step cannot be called without an argument; torch wraps the steps of instances."""
    try:
        parameters = list(signature(type(thing).step).parameters.values())[1:]
    except (TypeError, ValueError):  # of C
        return False
    free = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return any(p.default is Parameter.empty and p.kind not in free for p in parameters)


def _check_steps(optimizer: Any) -> None:
    """Refuse what cannot be stepped with the gradients of surrogates that have been added up already."""
    import torch

    name = type(optimizer).__name__
    if _asks(optimizer):
        raise OptionError(
            "the optimizer computes the loss anew within a step (a closure), and an update here is one pass",
            parameter="optimizer",
            got=name,
            wanted="one whose step() needs no argument",
            way_out="Take adam, adamw, sgd or another first-order optimizer.",
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise OptionError(
            "the optimizer takes sparse gradients alone, and those of a spiking network are dense",
            parameter="optimizer",
            got=name,
            way_out="Take torch.optim.Adam.",
        )


class Moving:
    """The optimizer and what goes with it."""

    def __init__(self, network: TrainedNetwork, options: Options) -> None:
        import torch

        self.network, self.options = network, options
        raw = network.learnable.parameters
        self.optimizer = optimizer_of(options.optimizer, options.learning_rate, network.weights, raw)
        self.schedule = schedule_of(options.schedule, self.optimizer, options.monitor)
        self.made = self._made()
        device = network.module.like.device.type
        self.scaler = torch.amp.GradScaler(device) if options.amp == "fp16" else None
        self.watchers: list[Any] = [term for term in options.regularisers if isinstance(term, Watcher)]
        if self.watchers and options.checkpoint is not None:
            raise OptionError(
                "a checkpoint does not hold what a regulariser has gathered of the updates",
                parameter="checkpoint",
                got=", ".join(type(term).__name__ for term in self.watchers),
                way_out="Train this task without a checkpoint, or take hasn.training.ElasticWeights.",
            )
        if self.watchers and network.during.has_norms:
            raise OptionError(
                "the parameters of the next task are others: its weights have the BatchNorm of this one in them",
                parameter="during",
                got=f"a BatchNorm and {', '.join(type(term).__name__ for term in self.watchers)}",
                way_out="Train without BatchNorm where a regulariser follows the parameters from task to task.",
            )
        for watcher in self.watchers:
            watcher.begin(network.parameters)

    @property
    def learning_rate(self) -> float:
        """Of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients."""
        scaled: Any = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()

    def step(self, refuse: Callable[[], None]) -> None:
        """Move the parameters by the gradients that have been added up; those without one stay.

        Args:
            refuse: called where a gradient is not finite; if it raises nothing, a scaler leaves this update out.
        """
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        for watcher in self.watchers:  # before gradients are clipped
            watcher.before(self.network.parameters)
        norm = self._clip()
        if not bool(norm.isfinite()):
            refuse()
        if self.scaler is None:
            self.optimizer.step()
            if not bool(norm < large.LARGE):
                large.check(self.optimizer)
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.network.pruned.hold()
        for watcher in self.watchers:
            watcher.after(self.network.parameters)
        if self.schedule is not None and not watches(self.schedule):
            self._turn()

    def epoch_done(self, value: float | None) -> None:
        """Tell a schedule of the kind of ReduceLROnPlateau the monitored value of an epoch."""
        if self.schedule is not None and watches(self.schedule) and value is not None:
            self._turn(value)

    def _turn(self, *told: float) -> None:
        try:
            self.schedule.step(*told)
        except ValueError as error:  # OneCycleLR has been told of fewer steps
            raise TrainingError(
                f"the schedule has come to its end: {error}",
                parameter="schedule",
                got=type(self.schedule).__name__,
                way_out="It advances at every update: give it epochs times the updates of an epoch.",
            ) from error

    def _clip(self) -> Tensor:
        """The norm of all gradients, which are scaled down to ``clip`` where they exceed it.

        Inf where one is not finite. Squares overflow long before gradients do: then it is taken anew (:mod:`large`).
        """
        import torch

        parameters = [p for p in self.network.parameters.values() if p.grad is not None]
        found = [p.grad for p in parameters if p.grad is not None]
        norms = [torch.linalg.vector_norm(grad) for grad in found]
        if not all(bool(norm.isfinite()) for norm in norms):
            return large.clipped(found, self.options.clip)
        if self.options.clip is not None:
            return torch.nn.utils.clip_grad_norm_(parameters, self.options.clip)
        zero = torch.zeros((), dtype=torch.float64)
        norm: Tensor = torch.linalg.vector_norm(torch.stack([zero, *(norm.cpu().double() for norm in norms)]))
        return norm

    # --- state

    def _made(self) -> dict[str, str]:
        """What an optimizer's or schedule's function has made: class and numbers, as they are before the first step."""
        found = {}
        if callable(self.options.optimizer):
            groups = [
                {name: x for name, x in group.items() if name != "params"} for group in self.optimizer.param_groups
            ]
            found["optimizer"] = f"{type(self.optimizer).__name__} {_numbers(groups)}"
        if self.schedule is not None:
            found["schedule"] = f"{type(self.schedule).__name__} {_numbers(self.schedule.state_dict())}"
        return found

    def parameters(self) -> dict[str, Tensor]:
        """A copy of every trained parameter."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.parameters.items()}

    def state(self) -> dict[str, Any]:
        """Parameters, optimizer, schedule, scaler and masks."""
        return {
            "parameters": self.parameters(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "masks": self.network.pruned.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.network.load(state["parameters"])
        self.network.pruned.load(state["masks"])
        self.optimizer.load_state_dict(state["optimizer"])
        for part, kept in ((self.schedule, state["schedule"]), (self.scaler, state["scaler"])):
            if part is not None and kept is not None:
                part.load_state_dict(kept)


def _numbers(value: Any) -> Any:
    """What of a state are numbers, in lists and dicts; switches come and go with torch's versions."""
    if isinstance(value, Mapping):
        found = {str(key): _numbers(item) for key, item in sorted(value.items(), key=str)}
        return {key: item for key, item in found.items() if item not in (None, [], {})}
    if isinstance(value, list | tuple):
        return [item for item in map(_numbers, value) if item is not None]
    if hasattr(value, "tolist"):
        return _numbers(value.tolist())
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
