"""What a batch scores: the loss to go down, and the figures to show."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from hasn.backends.snntorch.training.accuracy import accuracy, has_accuracy
from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.losses import Loss, Shown
from hasn.backends.snntorch.training.network import Activity, TrainedNetwork
from hasn.backends.snntorch.training.nonfinite import stop_at_gradient, stop_at_loss, stop_at_validation
from hasn.backends.snntorch.training.options import AMP, Options
from hasn.backends.snntorch.training.targets import Targets
from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor


class Scorer:
    """Runs a batch forwards.

    Attributes:
        populations: whose rates it reports, in this order.
    """

    def __init__(self, network: TrainedNetwork, loss: Loss, options: Options) -> None:
        self.network, self.loss, self.options = network, loss, options
        self.populations = network.program.recorded_spikes
        if loss.reads != "output":
            if options.recompute is not None:
                got, way_out = f"recompute={options.recompute}", "Leave recompute out, or read the output."
                raise OptionError(
                    "the membrane potentials that the loss reads are kept", parameter="loss", got=got, way_out=way_out
                )
            parts = loss.parts or dict.fromkeys(network.sinks, loss)
            network.read_membranes([name for name, part in parts.items() if part.reads != "output"])
        for term in options.regularisers:
            if hasattr(term, "check"):
                term.check(self.populations)

    def __call__(
        self, batch: Batch, share: float, regularised: bool = True, group: Sequence[Batch] = ()
    ) -> tuple[Tensor, Tensor]:
        """(loss times share, [loss, accuracy or NaN, rate of each population] times share).

        Args:
            batch: the samples.
            share: part of the update's samples that these are.
            regularised: add the regularisers.
            group: the update's batches, whose weight is the whole where labels do not weigh alike.
        """
        import torch

        labels = batch.labels.to(self.network.module.like.device)
        with self._autocast():
            activity = self.network.forward(batch.inputs)
        loss = self._checked(self.loss.value(self._shown(activity), self._given(labels)))
        by_weight, by_count = self._shares(labels, group) if self.loss.weighs else (share, share)
        if self.loss.weighs:
            loss = loss * (by_weight / share)
        for term in self.options.regularisers if regularised else ():
            loss = loss + term(activity)
        loss = (loss + activity.mark) * share
        with torch.no_grad():
            rates = [activity.counts[name].mean() / activity.steps * share for name in self.populations]
            figures = [loss.detach(), self._accuracy(activity, labels) * by_count, *rates]
            return loss, torch.stack([figure.double() for figure in figures])

    def _shown(self, activity: Activity) -> Any:
        """What the loss reads."""
        if self.loss.reads == "output":
            return activity.outputs
        return activity.membranes if self.loss.reads == "membrane" else Shown(activity.outputs, activity.membranes)

    def _given(self, labels: Any) -> Any:
        """The labels as the loss takes them."""
        if self.loss.parts is not None or not isinstance(labels, Targets):
            return labels
        return labels.plain if self.loss.wants is None else self.answers(labels)

    def answers(self, labels: Any) -> Any:
        """The labels that the classes are compared with."""
        if self.loss.scores is None or (self.loss.parts is None and self.loss.wants is None):
            return labels
        name = self.loss.answers or self.network.sinks[0]
        return labels.of(name, list(self.network.sinks)) if isinstance(labels, Targets) else labels

    def measure(self, labels: Any) -> tuple[float, float] | None:
        """The weight of some labels in the mean, and how many count; None where all count alike."""
        entropy = self.loss.entropy if self.loss.weighs else None
        if entropy is None:
            return None
        only = self.network.sinks[0] if self.loss.parts is None else next(iter(self.loss.parts))
        return entropy.measure(labels.of(only, list(self.network.sinks)) if isinstance(labels, Targets) else labels)

    def _shares(self, labels: Any, group: Sequence[Batch]) -> tuple[float, float]:
        """The part of the group's weight, and of its labels that count, that these are."""
        own, all_ = self.measure(labels) or (0.0, 0.0), [batch.measure or (0.0, 0.0) for batch in group]
        sums = [sum(part) for part in zip(*all_, strict=True)]
        return tuple(part / total if total else 0.0 for part, total in zip(own, sums, strict=True))  # type: ignore[return-value]

    def sum(self, rows: Sequence[Tensor]) -> list[float]:
        """The figures of several parts, or zeros of none."""
        import torch

        if not rows:
            return [0.0] * (2 + len(self.populations))
        found: list[float] = torch.stack(list(rows)).sum(0).tolist()
        return found

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self.options.amp is None:
            return nullcontext()
        return torch.autocast(self.network.module.like.device.type, getattr(torch, AMP[self.options.amp]))

    def _checked(self, loss: Any) -> Tensor:
        import torch

        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise OptionError("the loss is no scalar tensor", parameter="loss", got=got)
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise OptionError("the loss does not depend on the parameters", parameter="loss", got=self.loss.name)
        return loss.reshape(())

    def _accuracy(self, activity: Activity, labels: Any) -> Tensor:
        import torch

        if self.loss.parts is not None or self.loss.wants is not None:
            labels = self.answers(labels)
        if isinstance(labels, Targets) or not has_accuracy(self.loss, labels):
            return torch.tensor(float("nan"), device=self.network.module.like.device)
        ignored = None if self.loss.entropy is None else self.loss.entropy.ignore_index
        if labels.ndim == 1 and ignored is None:
            return accuracy(self.loss, self._shown(activity), labels)
        scores: Any = self.loss.scores if labels.ndim == 1 else self.loss.step_scores
        if labels.ndim == 1:
            said: Tensor = scores(self._shown(activity)).flatten(1).argmax(1)
        else:
            said, labels = scores(self._shown(activity)).argmax(2).flatten(), labels.T.flatten()
        right: Tensor = (said == labels).double()
        if ignored is None:
            return right.mean()
        counted = labels != ignored
        share: Tensor = (right * counted).sum() / counted.sum().clamp(min=1)
        return share

    def stop_at_loss(self, batches: Sequence[Batch], step: int, loss: float) -> NoReturn:
        """Raise with the first node whose state is not finite."""
        with self._autocast():
            raise stop_at_loss(self.network, batches, step, loss)

    def stop_at_validation(self, batch: Batch, step: int, loss: float) -> None:
        """Raise with the first node whose state is not finite on validation data, if there is one."""
        with self._autocast():
            stop_at_validation(self.network, batch, step, loss)

    def stop_at_gradient(self, batches: Sequence[Batch], step: int) -> None:
        """The same; but where a scaler has made the loss too large to pass back, that update is merely left out."""
        with self._autocast():
            error = stop_at_gradient(self.network, batches, step)
        if self.options.amp != "fp16":
            raise error
