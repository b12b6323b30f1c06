"""Delta coding: real-valued signals as spikes that say by how much they have changed.

Send-on-delta (Miskowicz, Send-on-delta concept: an event-based data reporting strategy, Sensors 6, 2006), with a spike
train for rises and one for falls as in event cameras (Lichtsteiner, Posch & Delbruck, IEEE J. Solid-State Circuits 43,
2008), and at most one spike a step: a larger change is told over several steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hasn.demo.vowels import FRAME, LONGEST, Utterances

Floats = NDArray[np.float64]


def delta_spikes(signals: Floats, threshold: float) -> NDArray[np.bool_]:
    """Each channel ``x`` has a level ``L`` that follows it, 0 before the start; at every step

        up = 1[x - L >= threshold],  down = 1[L - x >= threshold],  L <- L + threshold * (up - down)

    Args:
        signals: (T, N, C); NaN where there is no signal (no spikes, L stays).
        threshold: in the signals' unit.

    Returns:
        (T, N, 2 C) of bool: C channels of rises, then C of falls.
    """
    level = np.zeros(signals.shape[1:])
    spikes = np.zeros((*signals.shape[:2], 2, signals.shape[2]), dtype=np.bool_)
    for now, out in zip(signals, spikes, strict=True):
        ahead = now - level
        out[:, 0], out[:, 1] = ahead >= threshold, -ahead >= threshold
        level += threshold * (out[:, 0].astype(np.float64) - out[:, 1])
    return spikes.reshape(*signals.shape[:2], -1)


@dataclass(frozen=True)
class DeltaCode:
    """Utterances as spikes: every coefficient normalised, frames joined by straight lines, then delta-coded.

    Attributes:
        mean, deviation: of each coefficient over all frames of the training utterances.
        threshold: in standard deviations.
        steps: time steps from a frame to the next.
    """

    mean: Floats
    deviation: Floats
    threshold: float = 0.3
    steps: int = 2

    @classmethod
    def of(cls, utterances: Utterances) -> DeltaCode:
        """With the mean and the deviation of these."""
        frames = np.concatenate(utterances.frames)
        return cls(frames.mean(axis=0), frames.std(axis=0))

    @cached_property
    def dt(self) -> float:
        """Seconds a step."""
        return FRAME / self.steps

    def normalised(self, frames: Floats) -> Floats:
        """(frames, C): mean 0 and deviation 1 over the training utterances."""
        return (frames - self.mean) / self.deviation

    def encode(self, utterances: Utterances) -> NDArray[np.bool_]:
        """(T, N, 2 C) of bool; T is that of the longest utterance there is, the others end in silence."""
        return self.spikes([self.normalised(frames) for frames in utterances.frames])

    def spikes(self, normalised: list[Floats]) -> NDArray[np.bool_]:
        """The same for normalised frames."""
        signals = np.full((LONGEST * self.steps, len(normalised), len(self.mean)), np.nan)
        for n, frames in enumerate(normalised):
            at = np.arange(len(frames) * self.steps) / self.steps  # the last frame is held for its steps
            for channel, values in enumerate(frames.T):
                signals[: len(at), n, channel] = np.interp(at, np.arange(len(frames)), values)
        return delta_spikes(signals, self.threshold)
