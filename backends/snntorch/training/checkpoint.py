"""Checkpoints: everything that the rest of a training depends on, in a file that is whole or not there."""

from __future__ import annotations

import hashlib
import io
import random
import shlex
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hasn.backends.snntorch.training.checkpoint_form import Malformed, check_head
from hasn.backends.snntorch.training.choice import weight_trains
from hasn.backends.snntorch.training.learnable import learnt
from hasn.errors import FileError
from hasn.ir.litter import part_of
from hasn.ir.seal import seal, seal_of
from hasn.ir.structure import flatten
from hasn.ir.whole import whole_file
from hasn.program.model import Connection, Neurons, Program

if TYPE_CHECKING:
    import nir
    from torch import Tensor

FORMAT = "hasn training 6"
#: Trained by every training, so not what a graph is known by.
_TRAINED = {"weight", "bias", "scale", "data"}


def fingerprint(graph: nir.NIRGraph, program: Program, learn: Mapping[str, Any], freeze: Sequence[str] = ()) -> str:
    """A hash of what training keeps: nodes, shapes, edges, initial voltages and what else is not trained.

    dt, method, timing and resets are not in it: they are options too, and compared as such.

    So a resumed training may start from other random weights, which the checkpoint replaces; not from another graph.
    """
    digest = hashlib.sha256()
    flat = flatten(graph)
    lowered = {step.name: step for step in program.of(Neurons)}
    mapped = {step.name for step in program.of(Connection)}
    for name in sorted(flat.nodes):
        node = flat.nodes[name]
        own = _TRAINED if name in mapped else set()
        trained = {p for p in own if weight_trains(learn, freeze, f"{name}.{p}")}
        trained |= {p for _, p, _ in learnt(name, node, learn, freeze)}
        digest.update(f"\n{name} {type(node).__name__}".encode())
        if name in lowered:  # what metadata or an option says of it
            held = lowered[name].held
            digest.update(f" {lowered[name].initial['v'].tolist()}".encode())
            digest.update(b"" if held is None else f" {held.tolist()}".encode())
        for parameter, value in sorted(vars(node).items()):
            if parameter in ("input_type", "output_type", "metadata", "input_shape"):
                continue
            digest.update(f" {parameter} {np.shape(value)}".encode())
            if parameter not in trained:
                digest.update(str(np.asarray(value).tolist()).encode())
    digest.update("\n".join(sorted(f"{source}>{target}" for source, target in flat.edges)).encode())
    return digest.hexdigest()


def digest_of(parameters: Mapping[str, Tensor]) -> str:
    """A hash of trained parameters, bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(parameters.items()):
        digest.update(f"\n{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def random_states(data: Iterable[Any] = (), own: Any = None) -> dict[str, Any]:
    """The states of every global generator (torch on all devices, numpy, Python), and of those that data bring.

    Args:
        data: that may have generators.
        own: the only one that is drawn from, in place of the global ones.
    """
    import torch

    if own is not None:
        return {"torch": own.get_state(), "cuda": [], "numpy": [], "python": [], "data": []}

    numbers: Any = np.random.get_state(legacy=True)
    name, keys, place, has_gauss, gauss = numbers
    version, inner, nothing = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.tensor(keys.astype(np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [version, list(inner), nothing],
        "data": [generator.get_state() for generator in _generators(data)],
    }


def set_random_states(states: Mapping[str, Any], data: Iterable[Any] = (), own: Any = None) -> None:
    """Put back what :func:`random_states` gave."""
    import torch

    if own is not None:
        own.set_state(states["torch"])
        return
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    if not states["numpy"]:  # of a training with a generator of its own
        return
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, inner, nothing = states["python"]
    random.setstate((version, tuple(inner), nothing))
    for generator, state in zip(_generators(data), states["data"], strict=False):
        generator.set_state(state)


def _generators(data: Iterable[Any]) -> list[Any]:
    """The generators that DataLoaders and their samplers were given."""
    found: dict[int, Any] = {}
    for given in data:
        for holder in (given, getattr(given, "sampler", None)):
            generator = getattr(holder, "generator", None)
            if hasattr(generator, "get_state") and hasattr(generator, "set_state"):
                found[id(generator)] = generator
    return list(found.values())


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers, texts, lists and dicts; the old file stays until the new one is whole.

    It is sealed with a digest, and the one before it is kept as :func:`previous`, if that is whole itself.

    Raises:
        FileError: it cannot be written.
    """
    import torch

    with whole_file(path, force=True) as temporary:
        with temporary.open("wb") as file:
            writing = _Writing(file)
            try:
                torch.save({"format": FORMAT, **_plain(state)}, writing)  # type: ignore[arg-type]  # all it calls
            except RuntimeError as error:  # torch hides what the operating system said
                raise writing.refused or error from None
        seal(temporary)
        _keep(path)


def _plain(value: Any) -> Any:
    """The same with Python's numbers in place of numpy's, which torch does not read again."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


class _Writing:
    """A file that remembers why it could not be written.

    Args:
        file: to write to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.refused: OSError | None = None

    def write(self, data: Any) -> int:
        """Write bytes."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self.file.flush()
        except OSError as error:
            self.refused = error
            raise


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(f"{path.name}.previous")


def _keep(path: Path) -> None:
    """Give the checkpoint that is about to be replaced its second name; one of another training's goes."""
    kept = previous(path)
    if not path.exists():
        kept.unlink(missing_ok=True)
    elif _is_whole(path):
        with part_of(kept) as temporary:
            temporary.unlink()
            try:
                temporary.hardlink_to(path)
            except OSError:  # a file system without links
                shutil.copyfile(path, temporary)
            temporary.replace(kept)


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return seal_of(file) == "whole"
    except OSError:
        return False


def damaged(path: Path, reason: str) -> FileError:
    """The error that says so, and how to go on from the checkpoint before it where there is one."""
    kept = previous(path)
    way_out = "Take another copy of it, or begin anew with another checkpoint path."
    if _is_whole(kept):
        way_out = f"The one before it is whole: mv {shlex.quote(str(kept))} {shlex.quote(str(path))}, and resume."
    return FileError(f"not a checkpoint, or a damaged one: {reason}", parameter=str(path), way_out=way_out)


def bytes_of(path: Path) -> bytes | None:
    """What a checkpoint file holds; None if there is none.

    Raises:
        FileError: it cannot be read.
    """
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror or error}", parameter=str(path)) from error


def read_checkpoint(content: bytes, path: Path) -> dict[str, Any]:
    """The state in a checkpoint. Nothing in the file is executed.

    Args:
        content: of the file.
        path: for messages.

    Raises:
        FileError: no checkpoint, or a damaged one.
    """
    import torch

    if (sealed := seal_of(io.BytesIO(content))) != "whole":
        why = "it has another digest than when it was written" if sealed == "broken" else f"no digest of {FORMAT}"
        raise damaged(path, why)
    try:
        if any(info.compress_type != zipfile.ZIP_STORED for info in zipfile.ZipFile(io.BytesIO(content)).infolist()):
            raise zipfile.BadZipFile("it is compressed")  # torch does not, and what is small may unpack to anything
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes make torch and zipfile raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise damaged(path, reason) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise FileError(
            "not a checkpoint of hasn.train",
            parameter=str(path),
            wanted=FORMAT,
            way_out="Begin anew with another checkpoint path, or go on with the hasn that wrote it.",
        )
    try:
        check_head(state)
    except Malformed as error:
        raise damaged(path, str(error)) from error
    return state
