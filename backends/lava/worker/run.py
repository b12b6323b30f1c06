"""Runs the network of this folder on Lava: simulated bit by bit, or on a Loihi 2 chip.

    python run.py --self-test
    python run.py --simulate INPUT.npz --out FILE.npz
    python run.py --hardware INPUT.npz --out FILE.npz

Needs Python 3.10, numpy and lava-nc 0.10; --hardware also Intel's extension lava-loihi and a board.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


def wrong_with(folder: Path) -> str:
    """What is wrong with the files of an exported folder; nothing: all are as they were written."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        digest = manifest.pop("digest", None)
        if digest != hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest():
            return "manifest.json was changed after the export (its digest is not that of its content)"
        for name, wanted in manifest["files"].items():
            if not (folder / name).is_file():
                return f"{name} is missing from {folder}; export the network again"
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
                return f"{name} was changed after the export (its sha256 is not the manifest's)"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing from {folder}; export the network again"
    except Exception as error:  # whatever stands there instead
        return f"the bundle cannot be read: {type(error).__name__}: {error}"
    return ""


if __package__:
    from .lava_network import Bundle, Refused, run_all
else:  # in an exported folder, whose other files are read once they are known to be whole
    if wrong := wrong_with(HERE):
        sys.stderr.write(f"error: {wrong}\n")
        sys.exit(2)
    from lava_network import Bundle, Refused, run_all  # type: ignore[import-not-found, no-redef]

ADAPTERS = "lava.proc.embedded_io.spike"


# --- what is there to run on


def require_lava() -> None:
    """Say what is missing.

    Raises:
        Refused: lava-nc is not installed in this Python.
    """
    if not _importable("lava.proc.lif.process"):
        raise Refused(
            f"lava-nc is not installed in this Python ({sys.version.split()[0]}); "
            "in a Python 3.10: python -m pip install lava-nc==0.10.0"
        )


def require_chip() -> None:
    """Say what is missing.

    Raises:
        Refused: Intel's extension or a board is missing.
    """
    require_lava()
    if not _importable(ADAPTERS):
        raise Refused(
            f"no hardware: Intel's extension lava-loihi is not installed here (the chip's spike adapters, {ADAPTERS}, "
            "come with it). Members of Intel's Neuromorphic Research Community get it from Intel; "
            "everybody else can run --simulate, which is bit-accurate but no hardware"
        )
    from lava.utils.loihi import is_installed

    if not is_installed():
        raise Refused("no hardware: Intel's extension lava-loihi is there in part only (lava.utils.loihi finds none)")


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def checked(folder: Path) -> Bundle:
    """The bundle of an exported folder, every file as it was written.

    Raises:
        Refused: a file is missing, changed, unreadable, or of a newer format.
    """
    if wrong := wrong_with(folder):
        raise Refused(wrong)
    try:
        return Bundle(folder)
    except Refused:
        raise
    except Exception as error:  # what a newer format has there
        raise Refused(f"the bundle cannot be read: {type(error).__name__}: {error}") from None


# --- inputs


def read_inputs(bundle: Bundle, path: Path) -> tuple[dict[str, Any], bool]:
    """{Input: int32 (T, batch, n)}, and whether the file's arrays have a batch axis.

    Raises:
        Refused: the file or its arrays are not what the network takes.
    """
    entries = bundle.manifest["inputs"]
    arrays = _arrays(path)
    found, leads = {}, set()
    for name, entry in entries.items():
        value = arrays.get(name, arrays.get(f"inputs/{name}"))
        if value is None and len(entries) == len(arrays) == 1:
            (value,) = arrays.values()
        if value is None:
            raise Refused(f"{path.name} has no array for Input {name!r}; wanted: {', '.join(entries)}")
        found[name], lead = _checked_input(name, entry, value)
        leads.add(lead)
    if len(leads) > 1:
        raise Refused(f"the Inputs have different steps or samples: {sorted(leads)}")
    return found, any(len(lead) == 2 for lead in leads)


def _arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        loaded = np.load(path, allow_pickle=False)
        return {"": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except MemoryError:
        raise Refused(f"{path.name} holds more than this machine has memory for; cut it into parts") from None
    except Exception as error:  # damaged files raise nearly anything
        raise Refused(f"{path.name} is no .npz or .npy file of numbers ({type(error).__name__})") from None


def _checked_input(name: str, entry: dict[str, Any], value: Any) -> tuple[Any, tuple[int, ...]]:
    shape = tuple(entry["shape"])
    lead = value.shape[: value.ndim - len(shape)]
    if len(lead) not in (1, 2) or value.shape[len(lead) :] != shape or 0 in value.shape[: len(lead)]:
        wanted = ", ".join(map(str, shape))
        raise Refused(f"Input {name!r} has shape {value.shape}; wanted (T, {wanted}) or (T, batch, {wanted})")
    if value.dtype.kind not in "biuf" or not np.all(np.isfinite(value)) or np.any(value != np.rint(value)):
        scale = f": real values times {entry['scale']:g}, rounded" if entry["scale"] != 1 else ""
        raise Refused(f"Input {name!r} is not of integers; the chip takes spikes 0 and 1, or integers{scale}")
    most = int(np.abs(value.astype(np.float64)).max())
    if not entry["graded"] and not np.all((value == 0) | (value == 1)):
        raise Refused(f"Input {name!r} takes spikes, 0 or 1 (it was exported so); got values up to {most}")
    if most > entry["limit"]:
        raise Refused(f"Input {name!r} has values up to {most}; this network holds its sums up to {entry['limit']}")
    return value.astype(np.int32).reshape(lead[0], lead[1] if len(lead) == 2 else 1, -1), lead


# --- the three things to do


def _run(bundle: Bundle, inputs: dict[str, Any], hardware: bool, lag: int) -> dict[str, Any]:
    try:
        return run_all(bundle, inputs, hardware, lag)
    except Exception as error:
        if not hardware:
            raise
        raise Refused(f"Lava could not run it on a chip: {type(error).__name__}: {error}") from error


def run_file(bundle: Bundle, path: Path, out: Path, hardware: bool, lag: int) -> None:
    """Run a file's inputs and write spikes, voltages and outputs."""
    if out.exists():
        raise Refused(f"{out} is there already and is kept; name another file")
    if not out.parent.is_dir():
        raise Refused(f"there is no folder {out.parent}")
    inputs, batched = read_inputs(bundle, path)
    runs = _run(bundle, inputs, hardware, lag)
    shapes = {name: place["shape"] for name, place in bundle.manifest["populations"].items()}
    found = {key: x.reshape(*x.shape[:2], *shapes[key.split("/", 1)[1]]) for key, x in runs.items()}
    found = {key: x.astype(bool) if key.startswith("spikes/") else x for key, x in found.items()}
    for name, output in bundle.manifest["outputs"].items():
        value = inputs.get(output["of"]) if output["key"] == "inputs" else runs.get(f"{output['key']}/{output['of']}")
        if value is not None:
            found[f"outputs/{name}"] = value.reshape(*value.shape[:2], *output["shape"])
    temporary = out.with_name(f".{out.name}.part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **{key: x if batched else x[:, 0] for key, x in found.items()})
    temporary.replace(out)
    sys.stdout.write(f"{'hardware' if hardware else 'simulated'}: wrote {out}\n")


def self_test(bundle: Bundle, hardware: bool, lag: int) -> int:
    """Compare a run of expected.npz's inputs with its answers, bit for bit: 0 the same, 1 not, 3 nothing but zeros."""
    expected = _arrays(HERE / "expected.npz")
    same = str(expected["digest"]) == bundle.digest()
    if not same:
        sys.stdout.write("network: CHANGED; its weights or registers are not those that expected.npz was made with\n")
    inputs = {key[7:]: x.reshape(*x.shape[:2], -1) for key, x in expected.items() if key.startswith("inputs/")}
    got = _run(bundle, inputs, hardware, lag)
    for key, values in got.items():
        line, equal = _comparison(key, values, expected[key])
        sys.stdout.write(line)
        same = same and equal
    where = "on the chip" if hardware else "in Lava's bit-accurate simulation (no hardware)"
    if same and not any(np.any(expected[key]) for key in got):
        sys.stdout.write(f"self-test: nothing was compared {where}: no spikes and no voltages in expected.npz\n")
        return 3
    sys.stdout.write(f"self-test {'passed' if same else 'FAILED'} {where}\n")
    return 0 if same else 1


def _comparison(key: str, got: Any, wanted: Any) -> tuple[str, bool]:
    wanted = wanted.reshape(got.shape).astype(np.int64)
    steps, samples, neurons = got.shape
    kind, name = key.split("/", 1)
    what = f"{name}: {kind} of {neurons} neurons, {samples} sample(s), {steps} steps"
    what += f", {int(wanted.sum())} spikes" if kind == "spikes" else ""
    wrong = np.argwhere(got != wanted)
    if not len(wrong):
        return f"{what}: identical\n", True
    t, sample, n = wrong[0].tolist()
    first = f"step {t}, sample {sample}, neuron {n}: expected {wanted[t, sample, n]}, got {got[t, sample, n]}"
    return f"{what}: {len(wrong)} DIFFER, first at {first}\n", False


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 is well, 1 a self-test that failed, 2 a mistake or something missing, 3 nothing to test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help="compare with expected.npz, bit for bit")
    parser.add_argument("--simulate", metavar="INPUT", type=Path, help="run this .npz on Lava's bit-accurate models")
    parser.add_argument("--hardware", metavar="INPUT", type=Path, nargs="?", const=HERE, help="run it on a chip")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write what came out (.npz)")
    parser.add_argument("--lag", type=int, default=0, help="hardware: steps that the spike adapters take together")
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # Lava's own, about modules that it cannot import
    try:
        hardware = given.hardware is not None
        require_chip() if hardware else require_lava()
        bundle = checked(HERE)
        if hardware and bundle.manifest["target"] != "loihi2":
            raise Refused("no hardware: this network was exported for Loihi 1, and Lava's spike adapters are Loihi 2's")
        if given.self_test:
            return self_test(bundle, hardware, given.lag)
        path = given.simulate or given.hardware
        if path is None or path == HERE or given.out is None or given.lag < 0 or (given.simulate and hardware):
            raise Refused("wanted: --self-test, or --simulate INPUT --out FILE, or --hardware INPUT --out FILE")
        run_file(bundle, path, given.out, hardware, given.lag)
    except (Refused, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
