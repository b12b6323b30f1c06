"""``--target loihi2``: a folder that runs on a machine with numpy and lava-nc alone, and proves itself there.

network.npz       registers and weights, ``<process>/<array>``
manifest.json     what is what: hashes (its own too), versions, dt, shifts, processes, node map, scales, resources
run.py            --self-test, --simulate, --hardware
lava_network.py   what run.py and hasn's own simulation share: files -> Lava's processes
expected.npz      inputs, and the spikes and voltages that they must give
README.md         how to use it
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.export.bundle.expected import Expected, expected_of, largest
from hasn.conversions.loihi.export.bundle.folder import ready_bundle, whole_folder
from hasn.conversions.loihi.export.bundle.readme import readme
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.errors import HasnError, UnsupportedError
from hasn.program.integers.lower import check_activation
from hasn.program.integers.model import GRADED_LIMIT, IntegerNetwork

if TYPE_CHECKING:
    from hasn.backends.lava.integers import IntegerMapping

MANIFEST = "manifest.json"
#: Files of the worker that go into the folder as they are.
SCRIPTS = ("run.py", "lava_network.py")


@dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Attributes:
        folder: where.
        shifts: population -> steps that it runs late.
        resources: neurons, synapses, connections, processes, weight_bits.
        spikes: population -> spikes in expected.npz.
        judged_by: who computed expected.npz.
        graded: Inputs with other values than 0 and 1.
        tested: whether expected.npz holds a spike, or a voltage that is not 0: a test of zeros shows nothing.
    """

    folder: Path
    shifts: dict[str, int]
    resources: dict[str, int]
    spikes: dict[str, int]
    judged_by: str
    graded: tuple[str, ...]
    tested: bool


def export_bundle(
    network: QuantisedNetwork, out: str | Path, *, inputs: Any = None, force: bool = False, seed: int = 0
) -> Exported:
    """Write a folder for Loihi.

    Args:
        network: in the chip's integers; not changed.
        out: the folder; it must not exist, and its parent must.
        inputs: data for the self-test as the float network takes it, (T[, batch], *shape) or {Input: such}; the first
            two samples and 100 steps of it are kept. None: seeded random spikes (graded Inputs: integers).
        force: replace a bundle that is there.
        seed: of the random spikes.

    Raises:
        UnsupportedError: the network cannot run on stock Lava processes, or has graded Inputs and its target none.
        RetimingError: a cycle has fewer steps of delay than its connections take.
        InputError: ``inputs`` do not fit the network.
        FileError: something is there already, or cannot be written.
    """
    from hasn.backends.lava import worker
    from hasn.backends.lava.bundle import arrays, manifest
    from hasn.backends.lava.integers import map_integers
    from hasn.backends.lava.worker.lava_network import Bundle

    ready_bundle(out, force=force, mark=MANIFEST)
    integers = network.integers
    mapping = map_integers(integers)
    limit = largest_value(integers, mapping)
    expected = expected_of(network, inputs, seed, limit)
    mapping.check_wrap(integers, {name: largest(expected.arrays[f"inputs/{name}"]) for name in integers.inputs})
    graded = _graded(network, expected)
    content = manifest(mapping) | _described(network, mapping, graded, limit)
    with whole_folder(out, force=force, mark=MANIFEST) as folder:
        np.savez_compressed(folder / "network.npz", **arrays(mapping))
        for name in SCRIPTS:
            shutil.copyfile(Path(worker.__file__).parent / name, folder / name)
        (folder / "README.md").write_text(readme(content, expected), encoding="utf-8")
        (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
        wanted: dict[str, Any] = {**expected.arrays, "digest": np.array(Bundle(folder).digest())}
        np.savez_compressed(folder / "expected.npz", **wanted)
        content["files"] = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
        content["digest"] = digest_of(content)
        (folder / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return Exported(
        Path(out), mapping.shifts, content["resources"], expected.spikes, expected.judged_by, graded, expected.tested
    )


def _graded(network: QuantisedNetwork, expected: Expected) -> tuple[str, ...]:
    """Inputs that take other values than 0 and 1: because their data is scaled, or the given data says so.

    Raises:
        UnsupportedError: the target's spikes have no values.
    """
    names = tuple(
        name
        for name in network.integers.inputs
        if network.input_scales.get(name, 1.0) != 1.0 or not np.isin(expected.arrays[f"inputs/{name}"], (0, 1)).all()
    )
    if names and network.target == "loihi1":
        raise UnsupportedError(
            "Loihi 1's spikes have no values",
            node=names[0],
            parameter="inputs",
            got="other values than 0 and 1",
            wanted="spikes",
            way_out="Take --target loihi2, or code the data as spikes.",
        )
    return names


def _described(
    network: QuantisedNetwork, mapping: IntegerMapping, graded: tuple[str, ...], limit: int
) -> dict[str, Any]:
    """What an export's manifest says beyond the processes."""
    from hasn.backends.lava.bundle import manifest

    integers, plain = network.integers, manifest(mapping)
    inputs = {
        name: entry
        | {
            "shape": list(integers.inputs[name].shape),
            "graded": name in graded,
            "limit": limit if name in graded else 1,
            "scale": network.input_scales.get(name, 1.0),
        }
        for name, entry in plain["inputs"].items()
    }
    populations = {
        name: place | {"shape": list(p.shape), "spiking": p.spiking}
        for (name, place), p in zip(plain["populations"].items(), integers.populations.values(), strict=True)
    }
    return {
        "target": network.target,
        "dt": network.dt,
        "timing": network.timing,
        "versions": _versions(),
        "shifts": mapping.shifts,
        "inputs": inputs,
        "populations": populations,
        "outputs": {name: _output(integers, name, of) for name, of in integers.outputs.items()},
        "nodes": _nodes(mapping),
        "scales": {
            name: {key: np.asarray(getattr(s, key)).reshape(-1).tolist() for key in ("scale", "offset")}
            for name, s in network.scales.items()
        },
        "resources": _resources(mapping),
    }


def _output(integers: IntegerNetwork, name: str, of: str) -> dict[str, Any]:
    """Where run.py finds what an Output shows; a key of "" is nothing (zeros)."""
    key = "inputs" if of in integers.inputs else ""
    if of in integers.populations:
        key = "spikes" if integers.populations[of].spiking else "voltages"
    return {"of": of, "key": key, "shape": list(integers.network.program.node(name).shape)}


def _nodes(mapping: IntegerMapping) -> dict[str, list[dict[str, Any]]]:
    """Node of the graph -> its processes, and which of its neurons (flat, C order) each holds."""
    members = {cell.name: cell.arrays.get("members") for cell in mapping.cells}
    return {
        name: [{"process": cell, "neurons": _listed(members[cell])} for cell in place.cells]
        for name, place in mapping.populations.items()
    }


def _listed(members: NDArray[Any] | None) -> list[int]:
    return [] if members is None else members.tolist()


def _resources(mapping: IntegerMapping) -> dict[str, int]:
    neurons = sum(cell.size_out for cell in mapping.cells if cell.kind == "lif")
    weights = [
        cell.arrays["weights.data" if cell.kind == "sparse" else "weights"]
        for cell in mapping.cells
        if cell.kind != "lif"
    ]
    synapses = sum(int(np.count_nonzero(w)) for w in weights)
    return {
        "neurons": neurons,
        "synapses": synapses,
        "connections": len(weights),
        "processes": len(mapping.cells),
        "weight_bits": 8 * synapses,
    }


def largest_value(integers: IntegerNetwork, mapping: IntegerMapping) -> int:
    """The largest absolute value of Inputs with which no sum leaves what the executors and the chip hold."""

    def fits(value: int) -> bool:
        largest = dict.fromkeys(integers.inputs, value)
        try:
            for name, most in integers.largest_activation(largest).items():
                check_activation(name, most)
            mapping.check_wrap(integers, largest)
        except HasnError:
            return False
        return True

    low, high = 0, GRADED_LIMIT
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _versions() -> dict[str, str]:
    """Of what made it, and what it was made for."""
    from hasn.backends.lava.environment import LAVA

    found = dict([LAVA.split("==")])
    for name in ("hasn", "nir", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def digest_of(manifest: dict[str, Any]) -> str:
    """Of all that a manifest says beside its digest; run.py works it out by itself."""
    said = {key: value for key, value in json.loads(json.dumps(manifest)).items() if key != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
