"""What a batch scores: the loss to go down, and the figures to show."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from hasn.backends.snntorch.training.accuracy import accuracy, has_accuracy
from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.losses import Loss
from hasn.backends.snntorch.training.network import Activity, TrainedNetwork
from hasn.backends.snntorch.training.nonfinite import stop_at_gradient, stop_at_loss, stop_at_validation
from hasn.backends.snntorch.training.options import AMP, Options
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
        for term in options.regularisers:
            if hasattr(term, "check"):
                term.check(self.populations)

    def __call__(self, batch: Batch, share: float, regularised: bool = True) -> tuple[Tensor, Tensor]:
        """(loss times share, [loss, accuracy or NaN, rate of each population] times share).

        Args:
            batch: the samples.
            share: part of the update's samples that these are.
            regularised: add the regularisers.
        """
        import torch

        labels = batch.labels.to(self.network.module.like.device)
        with self._autocast():
            activity = self.network.forward(batch.inputs)
        loss = self._checked(self.loss.value(activity.outputs, labels))
        for term in self.options.regularisers if regularised else ():
            loss = loss + term(activity)
        loss = (loss + activity.mark) * share
        with torch.no_grad():
            rates = [activity.counts[name].mean() / activity.steps * share for name in self.populations]
            figures = [loss.detach(), self._accuracy(activity, labels) * share, *rates]
            return loss, torch.stack([figure.double() for figure in figures])

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

    def _accuracy(self, activity: Activity, labels: Tensor) -> Tensor:
        import torch

        if not has_accuracy(self.loss, labels):
            return torch.tensor(float("nan"), device=labels.device)
        return accuracy(self.loss, activity.outputs, labels)

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
