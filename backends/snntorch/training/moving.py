"""What moves the parameters: optimizer, schedule, gradient scaler and clipping, with their state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.choice import RATE, groups_of
from hasn.backends.snntorch.training.consolidation import Watcher
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.options import OPTIMIZERS, Options
from hasn.errors import OptionError

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
        made = chosen(groups)
    if not isinstance(made, torch.optim.Optimizer):
        got = type(made).__name__
        raise OptionError("no torch.optim.Optimizer comes of it", parameter="optimizer", got=got)
    return made


class Moving:
    """The optimizer and what goes with it."""

    def __init__(self, network: TrainedNetwork, options: Options) -> None:
        import torch

        self.network, self.options = network, options
        raw = network.learnable.parameters
        self.optimizer = optimizer_of(options.optimizer, options.learning_rate, network.weights, raw)
        self.schedule = options.schedule(self.optimizer) if options.schedule else None
        device = network.module.like.device.type
        self.scaler = torch.amp.GradScaler(device) if options.amp == "fp16" else None
        self.watchers = [term for term in options.regularisers if isinstance(term, Watcher)]
        if self.watchers and options.checkpoint is not None:
            raise OptionError(
                "a checkpoint does not hold what a regulariser has gathered of the updates",
                parameter="checkpoint",
                got=", ".join(type(term).__name__ for term in self.watchers),
                way_out="Train this task without a checkpoint, or take hasn.training.ElasticWeights.",
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
        if not bool(self._clip().isfinite()):
            refuse()
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        for watcher in self.watchers:
            watcher.after(self.network.parameters)
        if self.schedule is not None:
            self.schedule.step()

    def _clip(self) -> Tensor:
        """The norm of all gradients, which are scaled down to ``clip`` where they exceed it."""
        import torch

        parameters = [p for p in self.network.parameters.values() if p.grad is not None]
        if self.options.clip is not None:
            return torch.nn.utils.clip_grad_norm_(parameters, self.options.clip)
        norms = [torch.linalg.vector_norm(p.grad).cpu().double() for p in parameters if p.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.zeros((), dtype=torch.float64), *norms]))
        return norm

    # --- state

    def parameters(self) -> dict[str, Tensor]:
        """A copy of every trained parameter."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.parameters.items()}

    def load_parameters(self, values: Mapping[str, Tensor]) -> None:
        """Set every trained parameter."""
        import torch

        with torch.no_grad():
            for name, tensor in self.network.parameters.items():
                tensor.copy_(values[name])

    def state(self) -> dict[str, Any]:
        """Parameters, optimizer, schedule and scaler."""
        return {
            "parameters": self.parameters(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.load_parameters(state["parameters"])
        self.optimizer.load_state_dict(state["optimizer"])
        for part, kept in ((self.schedule, state["schedule"]), (self.scaler, state["scaler"])):
            if part is not None and kept is not None:
                part.load_state_dict(kept)
