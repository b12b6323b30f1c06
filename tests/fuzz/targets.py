"""What hasn does with each kind of file, and what must hold whatever the file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

import hasn
from hasn.errors import HasnError, UnsupportedError
from tests.graphs import DT, small_net
from tests.unit.backends.snntorch.training.task import net, samples

#: What lies in the files that nobody may read.
SECRET = 5.0e252


def installed() -> list[str]:
    """Backends that compile here."""
    from hasn.backend import get_backend, list_backends

    return [name for name in list_backends() if not get_backend(name).why_not()]


def of_nir(path: Path, _: Path) -> None:
    """Loaded as it is and repaired; what check lets pass compiles on all backends."""
    for repair in (False, True):
        try:
            graph = hasn.load(path, repair=repair)
        except HasnError as error:
            _told(error)
            continue
        _no_secret(vars(graph))
        dt = None if "dt" in graph.metadata else DT
        findings = hasn.check(graph, dt=dt)
        if any(finding.severity == "error" for finding in findings):
            for finding in findings:
                _told(finding.to_error())
            continue
        for name in installed():
            try:
                hasn.compile(graph, name, dt=dt)
            except UnsupportedError as error:  # the one word that check leaves to the backends
                _told(error)
        hasn.save(graph, path.with_suffix(".out"), force=True)
        _chip(graph)


def _chip(graph: nir.NIRGraph) -> None:
    """As a network in the chip's integers, which few are."""
    from hasn.conversions.loihi.network import QuantisedNetwork

    try:
        QuantisedNetwork.of_graph(graph, dt=None if "dt" in graph.metadata else DT).integers  # noqa: B018
    except HasnError as error:
        _told(error)


def of_recording(path: Path, _: Path) -> None:
    """Loaded in both ways, and every view of it taken."""
    for mapped in (False, True):
        try:
            made = hasn.Recording.load(path, mapped=mapped)
            for group in made.series.values():
                for name in group:
                    if name not in made.events or made.events[name].steps < 10**4:  # dense, they may be any size
                        np.asarray(group[name]).sum()
            made.steps, made.times, made.events, made.counts.total_spikes  # noqa: B018
        except HasnError as error:
            _told(error)


def of_state(path: Path, _: Path) -> None:
    """Loaded, and put into the network that it is of."""
    try:
        state = hasn.load_state(path)
        with hasn.compile(small_net(), "snntorch", dt=DT) as executable:
            executable.load_state(state)
            executable.step(np.ones(executable.program.inputs[0].shape))
    except HasnError as error:
        _told(error)


def of_inputs(path: Path, _: Path) -> None:
    """Read for a network, and as samples are read."""
    from hasn.cli.inputs import arrays_in, read_inputs

    for read in (lambda: read_inputs(path, hasn.lower(small_net(), dt=DT)), lambda: arrays_in(path)):
        try:
            read()
        except HasnError as error:
            _told(error)


def of_checkpoint(path: Path, _: Path) -> None:
    """A training goes on from it, or says why not."""
    try:
        hasn.train(net(), samples(), epochs=2, checkpoint=path, resume=True)
    except HasnError as error:
        _told(error)


def of_manifest(path: Path, folder: Path) -> None:
    """In a bundle whose other files are sound."""
    import shutil

    from hasn.backends.lava.worker.lava_network import Refused
    from hasn.backends.lava.worker.run import checked

    chip = path.parent / "bundle"
    shutil.copytree(folder / "chip", chip)
    shutil.copyfile(path, chip / "manifest.json")
    try:
        checked(chip)
    except Refused as error:
        str(error).encode("utf8")
    finally:
        shutil.rmtree(chip)


TARGETS: dict[str, Callable[[Path, Path], None]] = {
    "nir": of_nir, "recording": of_recording, "state": of_state, "inputs": of_inputs, "array": of_inputs,
    "checkpoint": of_checkpoint, "manifest": of_manifest,
}  # fmt: skip


def run(kind: str, path: Path, folder: Path) -> None:
    """Do it all; warnings are the users'."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TARGETS[kind](path, folder)


def _told(error: HasnError) -> None:
    """An error can be shown, and does not tell what is in others' files."""
    str(error).encode("utf8")
    assert str(SECRET) not in str(error)
    assert error.message


def _no_secret(value: Any) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            _no_secret(inner)
    elif hasattr(value, "nodes"):
        _no_secret(dict(value.nodes))
    elif hasattr(value, "__dict__"):
        _no_secret(vars(value))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        assert not np.any(value == SECRET), "what lies in another file was read"
