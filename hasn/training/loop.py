"""The loop: epochs of updates, each a group of batches in parts that fit in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.training.batches import Batch, Data
from hasn.training.board import Board
from hasn.training.checkpoint import random_states, read_checkpoint, set_random_states, write_checkpoint
from hasn.training.memory import Room
from hasn.training.moving import Moving
from hasn.training.network import TrainedNetwork
from hasn.training.options import Options
from hasn.training.progress import Progress, Tally
from hasn.training.result import Epoch, Step
from hasn.training.score import Scorer

if TYPE_CHECKING:
    from torch import Tensor


class Trainer:
    """Trains a network in place.

    Args:
        network: what to train.
        scorer: its loss and accuracy.
        options: see :func:`hasn.train`.
        data: to train on.
        validation: to judge by, after every epoch.
        fingerprint: of the graph, for checkpoints.
        board: where figures go, if anywhere.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        scorer: Scorer,
        options: Options,
        data: Data,
        validation: Data | None,
        fingerprint: str,
        board: Board | None,
    ) -> None:
        self.network, self.scorer, self.options = network, scorer, options
        self.data, self.validation, self.fingerprint, self.board = data, validation, fingerprint, board
        self.moving = Moving(network, options)
        self.room = Room()
        self.now = Progress()
        self._epoch_start: dict[str, Any] = {}

    def run(self) -> Progress:
        """Train until the last epoch, or until it stops improving."""
        path = self.options.checkpoint
        if path is not None and self.options.resume and path.exists():
            self._load(path)
        while self.now.epoch < self.options.epochs and not self.now.stopped:
            self._run_epoch()
        self.now.stopped = self.now.stopped or "the last epoch is done"
        if self.options.keep_best and self.now.best_parameters:
            self.moving.load_parameters(self.now.best_parameters)
        return self.now

    # --- an epoch

    def _run_epoch(self) -> None:
        start = time.perf_counter() - self.now.tally.seconds
        batches, count = self._batches()
        while group := list(islice(batches, self.options.accumulate)):
            values = self._update(group)
            self.now.position += len(group)
            self.now.step += 1
            self.now.tally.add(values, sum(batch.size for batch in group))
            self.now.tally.seconds = time.perf_counter() - start
            self.now.tally.batch = max(self.now.tally.batch, self.room.samples)
            self._tell(values, group, count)
            every = self.options.checkpoint_every
            if every and self.now.step % every == 0:
                self._save()
        loss, accuracy = self._validate()
        tally = self.now.tally
        done = Epoch(
            self.now.epoch, tally.loss, tally.accuracy, loss, accuracy, tally.rates(self.scorer.populations),
            time.perf_counter() - start, tally.batch,
        )  # fmt: skip
        self._finish(done)

    def _batches(self) -> tuple[Iterator[Batch], int | None]:
        """This epoch's batches from where it stands, the generators in the state in which they were then."""
        if self.now.position:
            then = random_states([self.data.given])
            set_random_states(self._epoch_start, [self.data.given])
            batches, count = self.data.epoch(self.now.epoch)
            for _ in islice(batches, self.now.position):
                pass
            set_random_states({**then, "data": []})
            return batches, count
        self._epoch_start = random_states([self.data.given])
        self.now.tally = Tally()
        return self.data.epoch(self.now.epoch)

    def _finish(self, done: Epoch) -> None:
        self.now.history.append(done)
        if self.board:
            scalars = {"validation/loss": done.validation_loss, "validation/accuracy": done.validation_accuracy}
            self.board.add(self.now.step, scalars)
        monitored = getattr(done, self.options.monitor)
        if self.now.judge(monitored, self.options.monitor.endswith("loss")) and self.options.keep_best:
            self.now.best_parameters = self.moving.parameters()
        if self.options.patience is not None and self.now.waited >= self.options.patience:
            self.now.stopped = f"{self.options.monitor} has not improved for {self.now.waited} epochs"
        self.now.epoch, self.now.position, self.now.tally = self.now.epoch + 1, 0, Tally()
        self._epoch_start = {}
        if self.options.checkpoint is not None:
            self._save()

    # --- an update

    def _update(self, group: list[Batch]) -> list[float]:
        """Gradients of a group of batches, then one step of the optimizer; what the scorer says of it."""
        parts, sums = self.room.fitted(lambda: self._gradients(group))
        values: list[float] = sums.sum(0).tolist()
        if not math.isfinite(values[0]):
            self.scorer.stop_at_loss(parts, self.now.step + 1, values[0])
        self.moving.step(lambda: self.scorer.stop_at_gradient(parts, self.now.step + 1))
        return values

    def _gradients(self, group: list[Batch]) -> tuple[list[Batch], Tensor]:
        """The gradients of the mean loss over all samples of a group, whatever parts it runs in."""
        import torch

        self.moving.zero()
        total = sum(batch.size for batch in group)
        parts, rows = [], []
        for batch in group:
            for part in self.room.parts(batch):
                loss, row = self.scorer(part, part.size / total)
                self.moving.backward(loss)
                parts.append(part)
                rows.append(row)
        return parts, torch.stack(rows)

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss (without regularisers) and accuracy on the validation data."""
        import torch

        if self.validation is None:
            return None, None
        tally = Tally()
        with torch.no_grad():
            for batch in self.validation.epoch(self.now.epoch)[0]:
                tally.add(self.room.fitted(lambda b=batch: self._judged(b)), batch.size)  # type: ignore[misc]
        return tally.loss, tally.accuracy

    def _judged(self, batch: Batch) -> list[float]:
        rows = [self.scorer(part, part.size / batch.size, regularised=False)[1] for part in self.room.parts(batch)]
        values: list[float] = sum(rows[1:], rows[0]).tolist()
        return values

    # --- telling and keeping

    def _tell(self, values: list[float], group: list[Batch], count: int | None) -> None:
        loss, hits, *rates = values
        self.now.losses.append(loss)
        accuracy = None if math.isnan(hits) else hits
        step = Step(
            self.now.epoch, self.options.epochs, self.now.step, self.now.position, count, loss, accuracy,
            dict(zip(self.scorer.populations, rates, strict=True)), self.moving.learning_rate, self.room.samples,
        )  # fmt: skip
        if self.board:
            scalars = {"loss": loss, "accuracy": accuracy, "learning rate": step.learning_rate}
            self.board.add(self.now.step, scalars | {f"rate/{name}": rate for name, rate in step.rates.items()})
        if self.options.progress:
            self.options.progress(step)

    def _save(self) -> None:
        if self.options.checkpoint is None:
            return
        state = {
            "fingerprint": self.fingerprint,
            "settings": self.options.settings,
            "moving": self.moving.state(),
            "progress": self.now.state(),
            "room": self.room.limit,
            "random": random_states([self.data.given]),
            "epoch_start": self._epoch_start,
        }
        write_checkpoint(self.options.checkpoint, state)

    def _load(self, path: Path) -> None:
        state = read_checkpoint(path, self.fingerprint, self.options.settings)
        self.moving.load(state["moving"])
        self.now = Progress.of_state(state["progress"])
        self.room.limit = state["room"]
        self._epoch_start = state["epoch_start"]
        set_random_states(state["random"], [self.data.given])
