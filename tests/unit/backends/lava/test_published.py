"""The graph that the NIR paper ran on every platform, and the spikes that it gives without rounding."""

import os
from pathlib import Path

import numpy as np
import pytest

import hasn
from tests.unit.backends.lava.nets import needs_lava

ROOT = Path(__file__).parents[4]
FIXTURES = Path(os.environ.get("HASN_FIXTURES", ROOT.parent / "shared" / "fixtures"))

pytestmark = [
    *needs_lava,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"the published files are not in {FIXTURES} (set HASN_FIXTURES)"),
]


def test_published_lif_spikes_at_the_exact_steps():
    """Lava's own importer gives them a step later (461, 511, ...): its synapse's step is not taken out there."""
    graph = hasn.load(FIXTURES / "lif_norse.nir", dt=1e-4)
    x = np.loadtxt(FIXTURES / "lif_exact.csv", delimiter=",")[:, 0].reshape(-1, 1)
    with hasn.compile(graph, "lava", dt=1e-4) as executable:
        recording = executable.run(x)
    assert np.flatnonzero(recording.output[:, 0]).tolist() == [460, 510, 710, 760]
