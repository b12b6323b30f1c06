"""Published graphs and traces (NIR's paper, Pedersen et al. 2024), where their folder is; nothing of it is copied."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import hasn

FOLDER = Path(os.environ.get("HASN_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))
needs = pytest.mark.skipif(
    not (FOLDER / "lif_norse.nir").is_file(), reason=f"no published graphs in {FOLDER}: set HASN_FIXTURES"
)
BACKENDS = [
    pytest.param(
        name,
        marks=[
            *([pytest.mark.lava] if name == "lava" else []),
            pytest.mark.skipif(bool(info.why_not), reason=info.why_not),
        ],
    )
    for name, info in hasn.list_backends().items()
]


@needs
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_lif_gives_the_published_exact_spike_steps(backend: str) -> None:
    table = np.loadtxt(FOLDER / "lif_exact.csv", delimiter=",")
    graph = hasn.load(FOLDER / "lif_norse.nir", dt=1e-4)
    for method in ("euler", "exact"):
        recording = hasn.compile(graph, backend, method=method).run(table[:, :1])
        assert (
            np.flatnonzero(recording.output[:, 0]).tolist()
            == [460, 510, 710, 760]
            == np.flatnonzero(table[:, 2]).tolist()
        )


@needs
def test_lavas_published_trace_is_one_step_late_and_its_shift_says_so() -> None:
    if why_not := hasn.list_backends()["lava"].why_not:
        pytest.skip(why_not)
    table = np.loadtxt(FOLDER / "lif_lava_cpu_float.csv", delimiter=",")
    recording = hasn.compile(hasn.load(FOLDER / "lif_norse.nir", dt=1e-4), "lava").run(table[:, :1])
    late = np.flatnonzero(table[:, 2]) - np.flatnonzero(recording.output[:, 0])
    assert set(late) == {1}
    assert max(recording.shifts.values()) == 1


@needs
@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.7])
def test_the_braille_reader_gives_one_raster_on_every_backend(density: float) -> None:
    graph = hasn.load(FOLDER / "braille_noDelay_bias_zero.nir", dt=1e-4)
    x = np.random.default_rng(int(100 * density)).random((256, 3, 12)) < density
    comparison = hasn.compare(graph, x)
    assert comparison.ok, comparison.table()
    assert all(recording.counts.spikes["lif2"] > 50 for recording in comparison.recordings.values())
    assert set(comparison.differing.values()) == {0}
