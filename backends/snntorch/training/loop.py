"""The loop: epochs of updates, validation, checkpoints; the same in all workers."""

from __future__ import annotations

import math
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hasn.backends.snntorch.training.agreeing import check_agrees, lowered
from hasn.backends.snntorch.training.batches import Batch, Data, measured
from hasn.backends.snntorch.training.board import Board
from hasn.backends.snntorch.training.checkpoint import (
    bytes_of,
    damaged,
    digest_of,
    random_states,
    read_checkpoint,
    set_random_states,
    write_checkpoint,
)
from hasn.backends.snntorch.training.checkpoint_form import check_form
from hasn.backends.snntorch.training.drawing import seed_of
from hasn.backends.snntorch.training.gradients import Gradients
from hasn.backends.snntorch.training.memory import Room
from hasn.backends.snntorch.training.moving import Moving
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.options import Options
from hasn.backends.snntorch.training.progress import Progress, Tally
from hasn.backends.snntorch.training.pruning import warn_of_end
from hasn.backends.snntorch.training.result import Epoch, Step
from hasn.backends.snntorch.training.sameness import described, differs
from hasn.backends.snntorch.training.score import Scorer
from hasn.backends.snntorch.training.update import Update, added
from hasn.backends.snntorch.training.waiting import Waiting
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import InputError, TrainingError
from hasn.program.describe import counted


class Trainer:
    """Trains a network in place.

    Args:
        network: what to train.
        scorer: its loss and accuracy.
        options: see :func:`hasn.train`.
        data: to train on.
        validation: to judge by, after every epoch.
        fingerprint: of the graph, for checkpoints.
        origin: see :mod:`hasn.backends.snntorch.training.origin`; empty where no checkpoint is written.
        board: where figures go, if anywhere.
        workers: who train together.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        scorer: Scorer,
        options: Options,
        data: Data,
        validation: Data | None,
        fingerprint: str,
        origin: Mapping[str, Any],
        board: Board | None,
        workers: Workers,
    ) -> None:
        self.network, self.scorer, self.options, self.workers = network, scorer, options, workers
        self.data, self.validation, self.fingerprint, self.board = data, validation, fingerprint, board
        self.origin = origin
        self.moving = Moving(network, options)
        self.settings = {**options.settings, **lowered(network.program)}
        for name, made in self.moving.made.items():
            self.settings[name] += f" -> {made}"
        self.judge = judge_of(validation, options)
        self.gradients = _gradients(network, options)
        self.room = Room(whole=options.carry)
        self.update = Update(self.moving, self.gradients, scorer, self.room, workers)
        self.now = Progress()
        self._epoch_start: dict[str, Any] = {}
        self._sound: dict[str, Any] = {}  # parameters at the end of the last epoch, from which training went on
        self._told: set[str] = set()  # populations of whose rate was warned
        self._saved: int | None = None  # updates that the checkpoint holds
        if network.during.drops:
            network.during.seed = workers.first("the seed of dropout", seed_of(self._random()["torch"]))

    def run(self) -> Progress:
        """Train until the last epoch, or until it stops improving."""
        path = self.options.checkpoint
        if path is not None and self.options.resume:
            self._load(path)
        try:
            while self.now.epoch < self.options.epochs and not self.now.stopped:
                self._run_epoch()
                self._sound = self.moving.parameters() if self.now.epoch < self.options.epochs else {}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or self._saved is not None:
                error.add_note(self._kept())
            raise
        self.now.stopped = self.now.stopped or "the last epoch is done"
        if self.options.keep_best and self.now.best_parameters:
            self.network.load(self.now.best_parameters)
        return self.now

    def salvage(self, error: BaseException) -> Progress:
        """What an error has left of training: the best epoch, or else the last update whose numbers were sound."""
        self.now.stopped = (
            "stopped by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"stopped by an error: {error}"
        )
        best = self.now.best_parameters if self.options.keep_best else {}
        kept = best or (self._sound if isinstance(error, TrainingError) else {})
        if kept:
            self.network.load(kept)
        return self.now

    # --- an epoch

    def _run_epoch(self) -> None:
        start = time.perf_counter() - self.now.tally.seconds
        batches, count = self._batches()
        self.network.forget()
        while True:
            group = list(islice(batches, self.options.accumulate))
            values = self.update(group, self.now.step + 1)
            if self.update.stop:
                return self._end()
            if values is None:
                break
            self.now.position += len(group)
            self.now.step += 1
            self.now.tally.add(values, sum(batch.whole for batch in group), measured(group))
            self.now.tally.seconds = time.perf_counter() - start
            self.now.tally.batch = max(self.now.tally.batch, self.room.samples)
            self._tell(values, group, count)
            if self.update.stop and self.workers.count == 1:
                return self._end()
            every = self.options.checkpoint_every
            if every and self.now.step % every == 0:
                self._save()
        found = self._validate()
        self.now.tally.seconds = time.perf_counter() - start
        judged, tally = self._agree(*found), self.now.tally
        done = Epoch(
            self.now.epoch, tally.loss, tally.accuracy,
            judged.loss if judged.samples else None, judged.accuracy if judged.samples else None,
            tally.rates(self.scorer.populations), tally.seconds, tally.batch,
        )  # fmt: skip
        self._finish(done)

    def _end(self) -> None:
        """End in the middle of an epoch, as a callback wants it; what was done is kept.

        Not where states are carried, which no checkpoint holds: the one of the last epoch's end stays.
        """
        self.now.stopped = "the callback wanted it"
        if not self.options.carry:
            self._save()

    def _batches(self) -> tuple[Iterator[Batch], int | None]:
        """This epoch's batches from where it stands, the generators in the state in which they were then."""
        if self.now.position:
            then = self._random()
            self._set_random(self._epoch_start)
            batches, count = self.data.epoch(self.now.epoch)
            for _ in islice(batches, self.now.position):
                pass
            self._set_random({**then, "data": []})
            return batches, count
        self._epoch_start = self.workers.first("generators", self._random())
        self._set_random(self._epoch_start)
        self.now.tally = Tally()
        return self.data.epoch(self.now.epoch)

    def _warn_of_rates(self, done: Epoch) -> None:
        """Say of each population, once, that it did not spike in a whole epoch, or did at every step."""
        # A sum of means in float32 may miss 1 by rounding.
        extreme = {name: round(rate, 6) for name, rate in done.rates.items() if rate == 0 or rate > 1 - 1e-6}
        new = {name: rate for name, rate in extreme.items() if name not in self._told}
        self._told.update(new)
        if self.workers.rank or not new:
            return
        silent, full = ([name for name, rate in new.items() if rate == value] for value in (0, 1))
        said = [f"{', '.join(silent)} never spiked"] if silent else []
        said += [f"{', '.join(full)} spiked at every step"] if full else []
        warnings.warn(
            f"{' and '.join(said)} in epoch {done.epoch + 1}; hasn.check(graph, inputs=x) names the gain that would "
            "mend it, hasn.models.initialise(graph, x, rate=0.1) sets it",
            RuntimeWarning,
            stacklevel=2,
        )

    def _random(self) -> dict[str, Any]:
        return random_states([self.data.given], self.data.generator)

    def _set_random(self, states: Mapping[str, Any]) -> None:
        set_random_states(states, [self.data.given], self.data.generator)

    def _finish(self, done: Epoch) -> None:
        self.now.history.append(done)
        if self.board:
            scalars = {"validation/loss": done.validation_loss, "validation/accuracy": done.validation_accuracy}
            self.board.add(self.now.step, scalars)
        self._warn_of_rates(done)
        monitored = getattr(done, self.options.monitor)
        self.moving.epoch_done(monitored)
        if self.network.pruned.is_done(self.now.step):  # before, the best would be one that is not sparse yet
            better = self.now.judge(monitored, self.options.monitor.endswith("loss"))
            if better and self.options.keep_best:
                self.now.best_parameters = self.moving.parameters()
        elif done.epoch == 0 and not self.workers.rank:
            warn_of_end(self.now.step * self.options.epochs, self.options.pruning)
        if self.options.patience is not None and self.now.waited >= self.options.patience:
            self.now.stopped = f"{self.options.monitor} has not improved for {counted(self.now.waited, 'epoch')}"
        self.now.epoch, self.now.position, self.now.tally = self.now.epoch + 1, 0, Tally()
        self._epoch_start = {}
        if self.options.checkpoint is not None:
            self._save()

    # --- validation

    def _validate(self) -> tuple[Tally, int]:
        """Loss (without regularisers) and accuracy of this worker's share of the validation data, and their mark."""
        import torch

        tally, mark = Tally(), 0
        self.network.forget()
        with torch.no_grad():
            for batch in self.validation.epoch(self.now.epoch)[0] if self.validation else ():
                figures = self.room.fitted(lambda b=batch: self._judged(b))  # type: ignore[misc]
                if not math.isfinite(figures[0]):
                    self.scorer.stop_at_validation(batch, self.now.step, figures[0])
                tally.add(figures, batch.whole, batch.measure)
                mark = zlib.crc32(f"{mark} {batch.mark}".encode())
        return tally, mark

    def _judged(self, batch: Batch) -> list[float]:
        parts = self.room.parts(batch)
        return self.scorer.sum([self._score(part, batch) for part in parts])

    def _score(self, part: Batch, batch: Batch) -> Any:
        return self.scorer(part, part.size / batch.whole, regularised=False, group=[batch])[1]

    def _agree(self, own: Tally, mark: int) -> Tally:
        """The validation of all workers, who have come to the end of an epoch with the same parameters."""
        said = self.workers.exchange(
            "the end of an epoch",
            (own.sums, mark, self.now.tally.seconds, self.room.limit, self.room.samples, self._digest()),
        )
        sums, marks, seconds, limits, ran, digests = zip(*said, strict=True)
        if len(set(marks)) > 1:
            raise InputError("the workers have different data", parameter="validation", wanted="the same in all")
        if len(set(digests)) > 1:
            raise TrainingError(
                f"the workers' parameters differ after epoch {self.now.epoch}",
                parameter="workers",
                got=", ".join(digest[:8] for digest in digests),
                way_out="Look at the optimizer, the schedule and the data: they must do the same in all workers.",
            )
        self.now.tally.seconds = seconds[0]
        self.room.agree(limits, ran)
        return Tally(own.samples, added(sums), measure=own.measure)

    def _digest(self) -> str:
        return digest_of(self.network.parameters) if self.workers.count > 1 else ""

    # --- telling and keeping

    def _tell(self, values: list[float], group: list[Batch], count: int | None) -> None:
        loss, hits, *rates = values
        self.now.losses.append(loss)
        by = measured(group)
        accuracy = None if math.isnan(hits) or (by is not None and not by[1]) else hits
        step = Step(
            self.now.epoch, self.options.epochs, self.now.step, self.now.position, count, loss, accuracy,
            dict(zip(self.scorer.populations, rates, strict=True)), self.moving.learning_rate, self.room.samples,
        )  # fmt: skip
        if self.board:
            scalars = {"loss": loss, "accuracy": accuracy, "learning rate": step.learning_rate}
            self.board.add(self.now.step, scalars | {f"rate/{name}": rate for name, rate in step.rates.items()})
        if self.options.progress and wants_end(self.options.progress(step)):
            self.update.stop = True

    def _kept(self) -> str:
        """What is left of a training that is stopped, and how to go on."""
        path = self.options.checkpoint
        if path is None:
            return (
                f"Nothing was kept of {counted(self.now.step, 'update')}: with checkpoint=PATH a training can be "
                "taken up again."
            )
        if self._saved is None:
            return f"Nothing was kept yet: the first checkpoint, {path}, comes at the end of an epoch."
        again = "the same call" if self.options.resume else "the same call with resume=True"
        return f"Kept: {path}, after {counted(self._saved, 'update')} of {self.now.step}. Go on with {again}."

    def _save(self) -> None:
        if self.options.checkpoint is None or self.workers.rank:
            return
        state = {
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "hidden": {name: ", ".join(parts) for name, parts in self.options.hidden.items()},
            "judge": self.judge,
            "origin": dict(self.origin),
            "moving": self.moving.state(),
            "gradients": self.gradients.state(),
            "progress": self.now.state(),
            "room": self.room.limit,
            "random": self._random(),
            "epoch_start": self._epoch_start,
            "dropout": self.network.during.seed,
        }
        write_checkpoint(self.options.checkpoint, state)
        self._saved = self.now.step

    def _load(self, path: Path) -> None:
        content = self.workers.first("checkpoint", None if self.workers.rank else bytes_of(path))
        if content is None:
            return
        state = read_checkpoint(content, path)
        check_agrees(state, path, self.fingerprint, self.settings)
        known = self.moving.optimizer if isinstance(self.options.optimizer, str) else None
        try:
            masks = self.network.pruned.gone
            check_form(state, self.moving.parameters(), known, self.moving.schedule, self.moving.scaler, masks)
            self.moving.load(state["moving"])
            self.gradients.load(state["gradients"])
            self.now = Progress.of_state(state["progress"])
            self.room.limit = state["room"]
            self._epoch_start = state["epoch_start"]
            self._saved = self.now.step
            self._set_random(state["random"])
            self.network.during.seed = state["dropout"]
        except Exception as error:  # torch, numpy and Python's generators refuse states in many words
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise damaged(path, reason) from error
        self._judge_anew(state["judge"], path)

    def _judge_anew(self, before: str, path: Path) -> None:
        """Forget a best epoch that was another judge's, or whose parameters were not kept; and why it stopped."""
        patience = self.options.patience
        if patience is None or self.now.waited < patience:
            self.now.stopped = ""
        lost = self.options.keep_best and self.now.best is not None and not self.now.best_parameters
        other = self.options.monitor.startswith("validation") and differs(before, self.judge)
        if self.now.best is None or not (lost or other):
            return
        why = "the validation data are others" if other else "it was written without keep_best"
        self.now.best, self.now.waited, self.now.stopped, self.now.best_parameters = None, 0, "", {}
        if not self.workers.rank:
            warnings.warn(
                f"{path}: {why}, so the best epoch is sought among those from {self.now.epoch + 1} on",
                RuntimeWarning,
                stacklevel=2,
            )


def wants_end(said: object) -> bool:
    """Whether a callback has said True, be it numpy's."""
    return isinstance(said, bool | np.bool_) and bool(said)


def _gradients(network: TrainedNetwork, options: Options) -> Gradients:
    if options.apply_after is None:
        return Gradients(network.parameters)
    return Waiting(network.parameters, network.owners, options.apply_after)


def judge_of(validation: Data | None, options: Options) -> str:
    """What epochs are judged by: arrays by their values, loaders by their kind alone."""
    if validation is None or options.checkpoint is None:
        return ""
    given = validation.given
    return described(given)[0] if isinstance(given, tuple | list) or callable(given) else type(given).__qualname__
