"""Place networks on Loihi's cores and count the spikes between cores, against a mapper that fills core after core.

    OMP_NUM_THREADS=1 python benchmarks/placement.py [--model FILE] [--quick] [--seed 0] [--report DIR] [--json FILE]

Three networks, each quantised for its chip and run on data of its own; what they spike is what is counted:

    digits       784-128-10, trained for a pass (or --model): fits one core, so it is also spread evenly over 8
    convolution  28 x 28 digits, 3 x 3 kernels to 16, 32 (stride 2), 32 (stride 2) channels, 10 readouts; random kernels
    communities  recurrent, 17 groups of 236 neurons in shuffled order, 80 % connected inside and 0.2 % outside

Ends with 1 if a limit is broken or greedy sends less.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
from common import machine, machine_line, stage, write_json
from numpy.typing import NDArray

import hasn
from hasn.cli.console import add_row, show, table
from hasn.conversions.loihi import Placement, place
from hasn.conversions.loihi.placement.problem import RESOURCES
from hasn.demo.digits import encode, load_digits
from hasn.demo.network import DT, TAU, digit_network

STEPS = 25
SPREAD = 8


@dataclass(frozen=True)
class Case:
    """A network to place: float graph, data to calibrate and count on, chips, and cores to spread over."""

    name: str
    graph: nir.NIRGraph
    data: NDArray[Any]
    targets: tuple[str, ...]
    cores: int | None = None


def cases(file: Path | None, quick: bool, seed: int) -> Iterator[Case]:
    """All networks; smaller and fewer if ``quick``."""
    digits = load_digits()
    data = encode(digits.test_images[: 8 if quick else 64], STEPS, 1)
    graph = digit_network() if quick and file is None else _trained(file, digits)
    for cores in (None, SPREAD):
        yield Case("digits" if cores is None else f"digits, over {cores}", graph, data, ("loihi1", "loihi2"), cores)
    channels = (4, 8, 8) if quick else (16, 32, 32)
    images = data[:, : 4 if quick else 16].reshape(STEPS, -1, 1, 28, 28)
    yield Case("convolution", convolution(channels, seed), images, ("loihi1", "loihi2"))
    groups = 3 if quick else 17
    stimulus = np.random.default_rng(seed).random((STEPS, 4, groups)) < 0.3
    yield Case("communities", communities(groups, 236, seed), stimulus, ("loihi1",))


def _trained(file: Path | None, digits: Any) -> nir.NIRGraph:
    if file is not None:
        return hasn.load(file)
    from hasn.demo.train import train_digits

    with stage("Training") as bar:
        return train_digits(
            digit_network(), digits, epochs=1, steps=STEPS,
            progress=lambda done, total, loss, hits: bar(done, total, f"loss {loss:.3f}"),
        )  # fmt: skip


def _lif(*shape: int) -> nir.LIF:
    return nir.LIF(
        tau=np.full(shape, TAU), r=np.full(shape, TAU / DT), v_leak=np.zeros(shape), v_threshold=np.ones(shape)
    )


def convolution(channels: tuple[int, ...], seed: int) -> nir.NIRGraph:
    """Three convolutions of a 28 x 28 image and a readout; kernels with a positive mean, so that all layers spike."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, Any] = {"input": nir.Input(np.array([1, 28, 28]))}
    ins, side = 1, 28
    for i, outs in enumerate(channels):
        stride = 1 if i == 0 else 2
        kernel = rng.normal(0.25, 1.0, (outs, ins, 3, 3)) * 2.0 / np.sqrt(ins * 9)
        nodes[f"conv{i}"] = nir.Conv2d((side, side), kernel, (stride, stride), (1, 1), (1, 1), 1, np.zeros(outs))
        side = (side - 1) // stride + 1
        nodes[f"lif{i}"] = _lif(outs, side, side)
        ins = outs
    size = ins * side * side
    nodes["flatten"] = nir.Flatten({"input": np.array([ins, side, side])}, 0, -1)
    nodes["fc"] = nir.Linear(rng.normal(0.05, 1.0, (10, size)) / np.sqrt(size))
    nodes |= {"readout": _lif(10), "output": nir.Output(np.array([10]))}
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT}, type_check=False)


def communities(groups: int, size: int, seed: int) -> nir.NIRGraph:
    """A recurrent population in groups; an input channel drives each group."""
    rng = np.random.default_rng(seed)
    n = groups * size
    group = rng.permutation(np.repeat(np.arange(groups), size))
    chance = np.where(group[:, None] == group[None, :], 0.8, 0.002)
    recurrent = np.where(rng.random((n, n)) < chance, rng.normal(0.0, 0.03, (n, n)), 0.0)
    drive = np.where(group[:, None] == np.arange(groups), rng.uniform(0.1, 0.6, (n, groups)), 0.0)
    nodes = {
        "input": nir.Input(np.array([groups])),
        "drive": nir.Linear(drive),
        "population": _lif(n),
        "recurrent": nir.Linear(recurrent),
        "output": nir.Output(np.array([n])),
    }
    edges = [
        ("input", "drive"), ("drive", "population"), ("population", "recurrent"), ("recurrent", "population"),
        ("population", "output"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


def measure(case: Case, target: str, seed: int) -> tuple[Placement, dict[str, Any]]:
    """Quantise, run, place."""
    with stage(f"{case.name}, {target}") as bar:
        bar(0, 1, "quantising")
        network = hasn.quantise(case.graph, target=target, calibrate=case.data)
        begun = time.perf_counter()
        made = place(
            network, case.data, target=target, cores=case.cores, seed=seed, progress=lambda text: bar(0.5, 1, text)
        )
        seconds = time.perf_counter() - begun
    kept = all(
        limit is None or made.resources[name].max() <= limit
        for name in RESOURCES
        for limit in [getattr(made.profile, name)]
    )
    worse = made.baseline is not None and made.baseline.fits and made.traffic > made.baseline.traffic
    found = {key: value for key, value in made.to_dict().items() if key not in ("neurons", "pairs")}
    count = sum(cores.size for cores in made.neurons.values())
    found |= {"network": case.name, "neuron_count": count, "seconds": seconds, "ok": kept and not worse}
    return made, found


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    base, fullest, traffic = found["greedy"], found["fullest"], found["traffic"]
    if base is None:
        greedy, saved = "none found", "–"
    elif not base["fits"]:
        greedy, saved = f"needs {base['cores']} cores", "–"
    else:
        greedy = f"{base['traffic']:,} on {base['cores']}"
        saved = "–" if found["saving"] is None else f"{100 * found['saving']:.1f} %"
    return (
        found["network"], found["target"], f"{found['neuron_count']:,}", str(found["cores"]),
        f"{100 * fullest['share']:.0f} % {fullest['resource']}", f"{traffic:,}", greedy, saved,
        f"{found['message_hops'] / traffic:.2f}" if traffic else "–", f"{found['seconds']:.1f}",
    )  # fmt: skip


def main() -> int:
    """Run the benchmark; 1 where a limit is broken or greedy is better."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="trained digit model (.nir) instead of training one for a pass")
    parser.add_argument("--quick", action="store_true", help="small networks, untrained: does it run?")
    parser.add_argument("--seed", type=int, default=0, help="of random networks and of the placement")
    parser.add_argument("--report", type=Path, help="write a page with the mesh of each placement into this folder")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    columns = ("network", "chip", "neurons", "cores", "fullest", "messages between cores", "greedy", "fewer",
               "hops a message", "seconds")  # fmt: skip
    shown, figures = table(*columns, numbers=(*columns[2:4], *columns[5:])), []
    for case in cases(options.model, options.quick, options.seed):
        for target in case.targets:
            made, found = measure(case, target, options.seed)
            figures.append(found)
            add_row(shown, *_row(found))
            if options.report is not None:
                name = f"{case.name}-{target}".replace(", ", "-").replace(" ", "-")
                made.to_html(options.report / f"{name}.html", force=True)
    where = machine()
    show(shown)
    show(machine_line(where))
    write_json(options.json, {"machine": where, "steps": STEPS, "placements": figures})
    return int(not all(found["ok"] for found in figures))


if __name__ == "__main__":
    sys.exit(main())
