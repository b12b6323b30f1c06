"""What compiling 10^7 synapses costs in memory: at most half as much again as is stored, beside the simulator's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Bytes a synapse that the simulator itself keeps: torch's weights and, for compressed rows, their columns and (with
#: delays) their order; for Brian2 the compressed rows that a dense matrix becomes.
OWN = {
    ("snntorch", "sparse"): 8,
    ("snntorch", "delays"): 12,
    ("snntorch", "int8"): 8,
    ("snntorch", "dense"): 4,
    ("brian2", "sparse"): 0,
    ("brian2", "delays"): 0,
    ("brian2", "dense"): 8,
}

SCRIPT = """
import gc, json, sys
import nir, numpy as np
from scipy.sparse import csr_array
import hasn
from hasn.nodes import SparseLinear

def synapses(kind, n, per, rng):
    if kind == "dense":
        return nir.Linear(np.full((n, per), 0.01, dtype=np.float32))
    columns = np.sort(rng.integers(0, n, (n, per), dtype=np.int32), axis=1).reshape(-1)
    ends = np.arange(0, n * per + 1, per, dtype=np.int32)
    weight = csr_array((np.full(n * per, 0.01, dtype=np.float32), columns, ends), shape=(n, n))
    delay = rng.integers(0, 8, n * per, dtype=np.int32) if kind == "delays" else None
    return SparseLinear(weight, delay, dtype="int8" if kind == "int8" else None)

def net(kind, n, per, rng):
    made = synapses(kind, n, per, rng)
    given = per if kind == "dense" else n
    o = np.ones(n)
    nodes = {"i": nir.Input({"input": np.array([given])}), "w": made, "n": nir.LIF(o * 0.01, o, o * 0, o, o * 0),
             "o": nir.Output({"output": np.array([n])})}
    return nir.NIRGraph(nodes, [("i", "w"), ("w", "n"), ("n", "o")], metadata={"dt": 1e-3}, type_check=False)

def status(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))

found = {}
for kind in sys.argv[2].split(","):
    rng = np.random.default_rng(0)
    hasn.compile(net(kind, 3, 3, rng), sys.argv[1], precision="float32").close()
    graph = net(kind, 5000, 2000, rng)
    node = graph.nodes["w"]
    parts = ("weight",) if kind == "dense" else ("data", "indices", "indptr", "delay")
    arrays = [getattr(node, name) for name in parts]
    stored = sum(array.nbytes for array in arrays if array is not None)
    gc.collect()
    open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
    before = status("VmRSS")
    executable = hasn.compile(graph, sys.argv[1], precision="float32")
    found[kind] = (status("VmHWM") - before) / 1e7, stored / 1e7
    del executable, graph, node, arrays
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak of resident memory")
@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_ten_million_synapses(backend: str) -> None:
    kinds = [kind for name, kind in OWN if name == backend]
    given = [sys.executable, "-c", SCRIPT, backend, ",".join(kinds)]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for kind, (peak, stored) in found.items():
        assert stored >= 4 if kind == "dense" else stored >= 5
        assert peak <= 1.5 * stored + OWN[backend, kind], f"{kind}: {peak:.2f} bytes a synapse, {stored:.2f} stored"
