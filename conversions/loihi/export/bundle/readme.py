"""The README of an exported folder."""

from __future__ import annotations

from typing import Any

from hasn.conversions.loihi.export.bundle.expected import Expected
from hasn.program.describe import counted

_TEXT = """\
# A spiking network for {chip}

Written by hasn {hasn}: a network in the chip's integers, as processes of Lava (lava-nc {lava}, Python 3.10).

| file | what it is |
|---|---|
| `network.npz` | registers and 8-bit weights, `<process>/<array>` |
| `manifest.json` | which process is which node and which neurons, wires, shifts, scales, resources, hashes, versions |
| `run.py`, `lava_network.py` | run it; standard library, numpy and lava-nc alone |
| `expected.npz` | inputs and what they must give, by {judge} |

## Run it

    python -m pip install lava-nc==0.10.0                     # in a Python 3.10
    python run.py --self-test                                 # bit for bit, or exit status 1
    python run.py --simulate INPUT.npz --out FILE.npz
{board}
INPUT.npz holds one array of integers for each Input, (T, *shape) or (T, samples, *shape):

{inputs}

FILE.npz holds `spikes/NODE`, `voltages/NODE` (of populations that do not spike) and `outputs/NODE`, in the time of the
graph: what `manifest.json` lists as shifts has been taken out. Every sample starts from the initial state.

## Units

A step is {dt:g} s. A weight is `mantissa << weight_exp`; 64 units of voltage are one unit of weight, thresholds are
`vth << 6`. A population's voltage in volts is `v / scale + offset`, its `scale` and `offset` being in `manifest.json`
{known}.

## The network

{populations}

{neurons}, {synapses} ({bits} of weights), {processes}.

## Simulated, and hardware

`--simulate` and `--self-test` run Lava's bit-accurate models (`fixed_pt`) on this computer's CPU. That is a simulation,
however exact; its times and energies say nothing about a chip. {hardware}
"""
#: How it is run on a board, and what is to be said of that; Lava's spike adapters are Loihi 2's.
_BOARD = {
    "loihi1": "",
    "loihi2": """\
    python run.py --hardware INPUT.npz --out FILE.npz         # with Intel's lava-loihi and a Loihi 2 board
    python run.py --self-test --hardware
""",
}
_HARDWARE = {
    "loihi1": """\
There is no `--hardware` for this folder: Lava's spike
adapters are Loihi 2's, and nothing that is published reaches a Loihi 1 board from Lava. What is here are the chip's
integers and the proof of what they must give; `hasn export --target loihi2` writes a folder for a Loihi 2 board.""",
    "loihi2": """\
`--hardware` hands the same processes to
`Loihi2HwCfg` behind `PyToNxAdapter` and `NxToPyAdapter`. It was written from Lava's published interfaces and has not
been run on a chip by hasn's tests. Voltages are not read there. If the adapters take steps of their own, pass
them as `--lag N`; where a population has a bias, an initial voltage or a constant input, an input that comes late is
another input, and the self-test says so.""",
}


def readme(manifest: dict[str, Any], expected: Expected) -> str:
    """Text for a manifest and its self-test."""
    inputs = [_input(name, entry) for name, entry in manifest["inputs"].items()]
    populations = ["| population | neurons | processes | late by | spikes in the self-test |", "|---|---|---|---|---|"]
    for name, place in manifest["populations"].items():
        spikes = f"{expected.spikes[name]:,}" if name in expected.spikes else "(does not spike)"
        populations.append(f"| {name} | {place['size']} | {len(place['cells'])} | {place['shift']} | {spikes} |")
    resources = manifest["resources"]
    return _TEXT.format(
        chip={"loihi1": "Loihi 1", "loihi2": "Loihi 2"}[manifest["target"]],
        hasn=manifest["versions"]["hasn"],
        lava=manifest["versions"]["lava-nc"],
        judge=expected.judged_by,
        board=_BOARD[manifest["target"]],
        hardware=_HARDWARE[manifest["target"]],
        inputs="\n".join(inputs),
        dt=manifest["dt"],
        known="(one for each neuron)" if manifest["scales"] else "(none here: the graph came in the chip's units)",
        populations="\n".join(populations),
        neurons=counted(resources["neurons"], "neuron"),
        synapses=counted(resources["synapses"], "synapse"),
        bits=counted(resources["weight_bits"], "bit"),
        processes=counted(resources["processes"], "process"),
    )


def _input(name: str, entry: dict[str, Any]) -> str:
    shape = ", ".join(map(str, entry["shape"]))
    what = "spikes, 0 or 1"
    if entry["graded"]:
        what = f"integers within +-{entry['limit']}"
        what += f": real values times {entry['scale']:g}, rounded" if entry["scale"] != 1 else ""
    return f"- `{name}` ({shape}): {what}"
