"""Delta coding, by hand."""

from __future__ import annotations

import numpy as np

from hasn.demo.delta import DeltaCode, delta_spikes
from hasn.demo.vowels import LONGEST, Utterances


def test_a_signal_by_hand() -> None:
    """Threshold 1. Level before each step: 0 0 1 2 2 1 1 (it stays while there is no signal)."""
    signal = np.array([0.5, 1.0, 2.5, 2.5, 0.75, np.nan, 0.5])
    spikes = delta_spikes(signal.reshape(-1, 1, 1), 1.0)
    assert spikes[:, 0, 0].tolist() == [False, True, True, False, False, False, False]
    assert spikes[:, 0, 1].tolist() == [False, False, False, False, True, False, False]


def test_channels_and_samples_do_not_mix() -> None:
    """Sample 0 rises in channel 1, sample 1 falls in channel 0: rises come first, then falls."""
    signals = np.zeros((2, 2, 3))
    signals[1, 0, 1], signals[1, 1, 0] = 1.0, -1.0
    spikes = delta_spikes(signals, 0.5)
    assert np.argwhere(spikes).tolist() == [[1, 0, 1], [1, 1, 3]]


def test_the_level_follows_the_signal() -> None:
    """A signal that moves by less than the threshold a step is known to within the threshold (Miskowicz, 2006)."""
    steps = np.random.default_rng(0).uniform(-0.25, 0.25, (400, 3, 2))
    signals = steps.cumsum(axis=0)
    spikes = delta_spikes(signals, 0.25).reshape(400, 3, 2, 2)
    level = 0.25 * (spikes[:, :, 0].astype(float) - spikes[:, :, 1]).cumsum(axis=0)
    assert np.abs(signals - level).max() < 0.25
    assert spikes.any(axis=(0, 1)).all()


def test_utterances_are_normalised_joined_and_end_in_silence() -> None:
    """Two steps a frame: 1, 2, 3, 3 deviations above the mean, threshold 1: a spike each while the level is behind."""
    mean, deviation = np.array([10.0]), np.array([2.0])
    code = DeltaCode(mean, deviation, threshold=1.0, steps=2)
    spikes = code.encode(Utterances((np.array([[12.0], [16.0]]), np.array([[8.0]])), np.array([0, 1])))
    assert spikes.shape == (LONGEST * 2, 2, 2)
    assert np.flatnonzero(spikes[:, 0, 0]).tolist() == [0, 1, 2]
    assert np.flatnonzero(spikes[:, 1, 1]).tolist() == [0]
    assert spikes.sum() == 4


def test_the_code_takes_the_statistics_of_all_frames() -> None:
    frames = (np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[5.0, 8.0]]))
    code = DeltaCode.of(Utterances(frames, np.array([0, 1])))
    np.testing.assert_allclose(code.mean, [3.0, 4.0])
    np.testing.assert_allclose(code.deviation, np.sqrt([8 / 3, 32 / 3]))
    np.testing.assert_allclose(np.concatenate([code.normalised(f) for f in frames]).std(axis=0), 1.0)
