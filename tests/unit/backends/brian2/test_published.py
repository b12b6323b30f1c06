"""NIR's published single-neuron comparison (Pedersen et al., Nature Communications 15, 2024, figure 2)."""

import os
from pathlib import Path

import numpy as np
import pytest

import hasn

FIXTURES = Path(os.environ.get("HASN_FIXTURES", Path(__file__).parents[4] / ".." / "shared" / "fixtures"))


@pytest.mark.skipif(
    not (FIXTURES / "lif_norse.nir").exists(), reason=f"no published files in {FIXTURES} (HASN_FIXTURES)"
)
def test_spike_times_of_the_published_neuron():
    x = np.loadtxt(FIXTURES / "lif_exact.csv", delimiter=",")[:, 0]
    made = hasn.compile(hasn.load(str(FIXTURES / "lif_norse.nir")), "brian2", dt=1e-4)
    output = made.run(x.reshape(-1, 1)).output
    assert np.flatnonzero(output[:, 0]).tolist() == [460, 510, 710, 760]
