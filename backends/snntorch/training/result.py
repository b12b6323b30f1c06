"""What training tells: one step to a callback, one epoch to the history, all of it at the end."""

from __future__ import annotations

from dataclasses import dataclass

import nir


@dataclass(frozen=True)
class Step:
    """One update of the parameters, as a progress callback gets it.

    Attributes:
        epoch: from 0.
        epochs: of how many.
        step: updates done since training began, this one included.
        batch: batches done in this epoch.
        batches: of how many; None where the data do not say.
        loss: with the regularisers, mean over the update's samples.
        accuracy: share of its samples whose label has the highest score; None where labels are no classes, or all are
            ignored.
        rates: population -> spikes for each neuron and step.
        learning_rate: of the first parameter group.
        samples: that ran at once (memory may have shrunk it), at most.
    """

    epoch: int
    epochs: int
    step: int
    batch: int
    batches: int | None
    loss: float
    accuracy: float | None
    rates: dict[str, float]
    learning_rate: float
    samples: int

    @property
    def rate(self) -> float | None:
        """Mean of the populations' rates; None where nothing spikes."""
        return sum(self.rates.values()) / len(self.rates) if self.rates else None


@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Attributes:
        epoch: from 0.
        loss: with the regularisers, mean over the samples, each with the parameters of its own step. Where classes have
            weights or labels are ignored, means are over the weights, and those of accuracy over what is not ignored.
        accuracy: the same way; None where labels are no classes, or all are ignored.
        validation_loss: without the regularisers, after the epoch; None without validation data.
        validation_accuracy: after the epoch.
        rates: population -> spikes for each neuron and step, in training.
        seconds: wall-clock time, validation included.
        batch: samples that ran at once, at most.
    """

    epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    rates: dict[str, float]
    seconds: float
    batch: int


@dataclass(frozen=True)
class TrainResult:
    """A trained graph and how it came about.

    Attributes:
        graph: a plain NIR graph with the trained parameters.
        history: one :class:`Epoch` each.
        losses: of every update.
        stopped: why it ended.
        steps: updates of the parameters.
        dropped: log entries that were not written, because the writer was slower than training.
        moved: whether any trained parameter is another than at the start.
        heard: whether any Input had a value other than 0 in any sample.
    """

    graph: nir.NIRGraph
    history: tuple[Epoch, ...]
    losses: tuple[float, ...]
    stopped: str
    steps: int
    dropped: int
    moved: bool = True
    heard: bool = True

    @property
    def learned(self) -> bool:
        """Whether anything was learned: parameters moved, not on zeros alone, and a population spiked, if one can.

        Spikes are those of the last epoch.
        """
        rates = self.history[-1].rates if self.history else {}
        return self.moved and self.heard and (not rates or any(rate > 0 for rate in rates.values()))
