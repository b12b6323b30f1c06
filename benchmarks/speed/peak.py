"""Peak memory of one training step, alone in a process: ``python -m benchmarks.speed.peak JSON`` prints JSON.

The process builds the network and the whole input, trains on one sample (libraries load their code, torch's checkpoint
some 150 MiB of it, and make their threads), forgets the gradients, and notes its resident memory (VmRSS). Then it sets
the kernel's high-water mark back (5 into /proc/self/clear_refs), runs forward and backward of the batch once, and reads
the mark (VmHWM). The peak is VmHWM - VmRSS: activations, what is kept for the way back, gradients of the weights; not
weights, input or libraries.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.network import Network, dense, spikes
from benchmarks.peers import Peer
from benchmarks.speed.training import step

#: The kernel's own files; Linux alone has them.
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def kilobytes(field: str) -> int:
    """A field of /proc/self/status."""
    found = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"no {field} in {STATUS}")
    return int(found.group(1))


def built(tool: str, spec: Network, options: dict[str, Any]) -> Peer:
    """A tool's network."""
    module = import_module(f"benchmarks.peers.{tool}")
    peer: Peer = module.network(spec, **options)
    return peer


def main(job: dict[str, Any]) -> dict[str, Any]:
    """{"bytes": the peak, "spikes": the output's, as bits in hex}."""
    torch.set_num_threads(job["threads"])
    spec = dense(job["sizes"])
    peer = built(job["tool"], spec, job["options"])
    x = spikes(spec, job["steps"], job["batch"], job["rate"])
    step(peer, x[:, :1])
    for parameter in peer.parameters():
        parameter.grad = None
    gc.collect()
    before = kilobytes("VmRSS")
    CLEAR.write_text(_RESET_PEAK)
    step(peer, x)
    peak = 1024 * (kilobytes("VmHWM") - before)
    with torch.no_grad():
        output = peer(x) > 0
    bits = "".join(map(str, output.flatten().int().tolist()))
    return {"bytes": peak, "spikes": f"{int(bits, 2):x}"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
