"""Damage that knows what it damages: bytes, HDF5 objects, zip members and their headers, JSON values."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hasn.ir.seal import seal
from tests.unit.ir.fuzzed import JUNK, damaged, fields, put

Rng = np.random.Generator
#: Numbers that say how large or how long something is; see `_SIZES`.
_LARGE = {"huge", "huge float", "huge pair", "unsigned"}
#: Their bounds are compile's own task, and another test's.
_SIZES = {"delay", "shape", "refractory", "padding", "input_shape", "dt"}
#: What may stand in JSON where something else should.
_JSON = [None, True, -1, 0, 3, 10**30, 1.5, 1e400, float("nan"), "", "x", "a\0b", "../../x", [], {}, [1], {"a": 1}]
_NAMES = ["a\0b", "a\nb", "..", "\u202ex", "x" * 300, "é", "file", "input", "a.b"]

_FORMULAS = ["", "0", "1e999", "w / 0", "w / pre", "q", "v * e", "(" * 300 + "w" + ")" * 300, "-" * 9000 + "w", "w\0",
             "(" * 20 + "w" + ")**4" * 20, "+".join(["w"] * 9000), "(w + pre + post + v)**4", "lambda: 0"]  # fmt: skip


def mutated(kind: str, content: bytes, rng: Rng, folder: Path) -> bytes:
    """Another file like ``content``; how, the generator says.

    Args:
        kind: of file, see :data:`tests.fuzz.seeds.ENDINGS`.
        content: of a sound file, or of one that has been damaged before.
        rng: says how.
        folder: for the work, with the files ``secret.bin`` and ``secret.h5``, which nobody may read.
    """
    try:
        if rng.random() < 0.25:
            return damaged(content, rng)
        if kind == "nir":
            return _hdf5(content, rng, folder)
        if kind == "manifest":
            return _manifest(content, rng)
        if kind == "array":
            return _npy(content, rng)
        return _zip(kind, content, rng, folder)
    except Exception:  # what has been damaged before may have lost its form
        return damaged(content, rng) if content else b"x"


def _one(rng: Rng, of: Any) -> Any:
    return of[int(rng.integers(len(of)))]


# --- HDF5


def _hdf5(content: bytes, rng: Rng, folder: Path) -> bytes:
    path = folder / "work.h5"
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            _one(rng, _EDITS)(file, rng, folder)
    return path.read_bytes()


def _field(file: h5py.File, rng: Rng, of: type = h5py.HLObject) -> str:
    return str(_one(rng, [name for name in fields(file) if isinstance(file[name], of)]))


def _junk(file: h5py.File, rng: Rng, _: Path) -> None:
    name = _field(file, rng)
    kinds = [kind for kind in JUNK if kind not in _LARGE or name.rsplit("/")[-1] not in _SIZES]
    put(file, name, JUNK[_one(rng, kinds)])


def _number(file: h5py.File, rng: Rng, _: Path) -> None:
    """One element of an array is another number."""
    name = _field(file, rng, h5py.Dataset)
    values = np.array(file[name][()])
    if values.dtype.kind in "iuf" and values.size and name.rsplit("/")[-1] not in _SIZES:
        values.reshape(-1)[int(rng.integers(values.size))] = _one(rng, [0, -1, 1, 2, 100])
        put(file, name, values)


def _resized(file: h5py.File, rng: Rng, _: Path) -> None:
    """An array with one row more or less, an axis more, or turned round."""
    name = _field(file, rng, h5py.Dataset)
    values = np.array(file[name][()])
    if values.ndim and name.rsplit("/")[-1] not in _SIZES:
        changes = [lambda v: v[:-1], lambda v: np.concatenate([v, v]), lambda v: v[np.newaxis], lambda v: v.T]
        put(file, name, _one(rng, changes)(values))


def _deleted(file: h5py.File, rng: Rng, _: Path) -> None:
    del file[_field(file, rng)]


def _copied(file: h5py.File, rng: Rng, _: Path) -> None:
    """A thing stands elsewhere too, or under an odd name."""
    target = file[_field(file, rng, h5py.Group)]
    name = _one(rng, [*_NAMES, *target]).replace("\0", "?")
    if name in target:
        del target[name]
    file.copy(file[_field(file, rng)], target, name)


def _linked(file: h5py.File, rng: Rng, folder: Path) -> None:
    target = file[_field(file, rng, h5py.Group)]
    links = [h5py.SoftLink("/" + _field(file, rng)), h5py.SoftLink("/nowhere"), h5py.SoftLink("."),
             h5py.ExternalLink(str(folder / "secret.h5"), "/data"), h5py.ExternalLink("nothing.h5", "/")]  # fmt: skip
    target[f"m{rng.integers(9)}"] = _one(rng, links)


def _outside(file: h5py.File, rng: Rng, folder: Path) -> None:
    """Data in another file."""
    group, name = file[_field(file, rng, h5py.Group)], f"o{rng.integers(9)}"
    if rng.random() < 0.5:
        group.create_dataset(name, (6,), "f8", external=[(str(folder / "secret.bin"), 0, 48)])
    else:
        layout = h5py.VirtualLayout((6,), "f8")
        layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "data", (6,))
        group.create_virtual_dataset(name, layout)


def _bomb(file: h5py.File, rng: Rng, _: Path) -> None:
    """Much that is not stored."""
    group, size = file[_field(file, rng, h5py.Group)], int(10 ** rng.uniform(4, 10))
    kind = _one(rng, ["u1", "f8", "S1000", h5py.string_dtype(), h5py.vlen_dtype("f4"), h5py.ref_dtype])
    options = _one(
        rng, [{}, {"chunks": (max(1, size // 7),)}, {"chunks": (max(1, size // 2000),), "compression": "gzip"}]
    )
    group.create_dataset(f"b{rng.integers(9)}", (size,), kind, **options)


def _deep(file: h5py.File, rng: Rng, _: Path) -> None:
    group = file[_field(file, rng, h5py.Group)]
    for _ in range(int(rng.integers(1, 90))):
        group = group.require_group("g")


def _edges(file: h5py.File, rng: Rng, _: Path) -> None:
    """Edges turned round, doubled, left out, or to another end."""
    name = _one(rng, [n for n in fields(file) if n.endswith("edges")])
    edges = np.array(file[name][()], dtype=object)
    ends = edges.reshape(-1)
    how = int(rng.integers(4))
    if how == 0:
        ends[int(rng.integers(ends.size))] = _one(rng, [*ends, b"none", b""])
    changed = [edges, edges[:, ::-1], np.concatenate([edges, edges[:1]]), edges[rng.permutation(len(edges))[:-1]]][how]
    del file[name]
    file.create_dataset(name, data=changed, dtype=h5py.string_dtype())


def _kept(file: h5py.File, rng: Rng, _: Path) -> None:
    """What the metadata keep as JSON."""
    if "node/metadata/loihi" in file:
        put(file, "node/metadata/loihi", json.dumps(_json(json.loads(file["node/metadata/loihi"][()]), rng)))


def _rule(file: h5py.File, rng: Rng, _: Path) -> None:
    """A formula of a learning rule."""
    names = [name for name in fields(file) if name.rsplit("/")[-1] in ("update", "feed")]
    if names:
        old = file[name := _one(rng, names)][()].decode()
        texts = [*_FORMULAS, f"({old})**4", f"{old} + {old}", old[: int(rng.integers(len(old) + 1))], f"w * ({old})"]
        put(file, name, _one(rng, texts))


_EDITS: list[Callable[[h5py.File, Rng, Path], None]] = [
    _junk, _junk, _number, _resized, _deleted, _copied, _linked, _outside, _bomb, _deep, _edges, _kept, _rule,
]  # fmt: skip


# --- JSON


def _json(value: Any, rng: Rng) -> Any:
    """The same tree with one value replaced, dropped or under another name."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        made = dict(value) if isinstance(value, dict) else list(value)
        key = _one(rng, list(value) if isinstance(value, dict) else range(len(value)))
        how = rng.random()
        if how < 0.1:
            del made[key]
        elif how < 0.2 and isinstance(made, dict):
            made[_one(rng, _NAMES)] = made.pop(key)
        else:
            made[key] = _json(value[key], rng)
        return made
    return _one(rng, _JSON)


def _manifest(content: bytes, rng: Rng) -> bytes:
    """Three times in four with the digest of what it says now."""
    manifest = _json(json.loads(content), rng)
    if isinstance(manifest, dict) and rng.random() < 0.75:
        manifest.pop("digest", None)
        manifest["digest"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps(manifest).encode()


# --- arrays and zip files


def _npy(content: bytes, rng: Rng) -> bytes:
    """A header that claims another shape or type, or nothing like one."""
    end = content.index(b"\n") + 1
    header, old = content[:end], content[content.index(b"(") : content.index(b")") + 1]
    shapes = [b"(10000000000,)", b"(-1,)", b"()", b"(0,)", b"(3, 3, 3)", b"(1e9,)", b"(9" + b"9" * 30 + b",)", b"None"]
    how = int(rng.integers(3))
    if how == 0:
        header = header.replace(old, _one(rng, shapes).ljust(len(old)))
    elif how == 1:
        kind = _one(rng, [b"'|O'", b"'>f8'", b"'<U9'", b"'|S0'", b"'<c16'", b"'|V3'", b"[('a', '<f8')]", b"'zz'"])
        header = header.replace(b"'<f8'", kind)
    else:
        header = header[:8] + int(rng.integers(65536)).to_bytes(2, "little") + header[10:]
    return header + content[end:]


def _zip(kind: str, content: bytes, rng: Rng, folder: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    if kind == "checkpoint" and rng.random() < 0.9:
        return _checkpoint(content, rng, folder)
    name, how = _one(rng, list(members)), rng.random()
    if how < 0.15:
        del members[name]
    elif how < 0.3:
        members[f"{_one(rng, ['spikes', 'x', 'events', 'outputs'])}/{_one(rng, _NAMES)}.npy"] = members[name]
    elif how < 0.5 and "meta.npy" in members:
        meta = json.loads(str(np.load(io.BytesIO(members["meta.npy"]))[()]))
        members["meta.npy"] = _as_npy(np.array(json.dumps(_json(meta, rng))))
    elif how < 0.6:
        members[name] = _as_npy(np.zeros(int(10 ** rng.uniform(1, 8.7)), dtype=_one(rng, ["u1", "?", "<i4"])))
    elif how < 0.7:
        members[name] = damaged(members[name], rng)
    else:
        members[name] = _npy(members[name], rng)
    path = folder / "work.zip"
    with zipfile.ZipFile(path, "w", _one(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as file:
        for member, data in members.items():
            file.writestr(member, data)
    if rng.random() < 0.8:
        seal(path)
    return path.read_bytes()


def _as_npy(array: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def _checkpoint(content: bytes, rng: Rng, folder: Path) -> bytes:
    """A part of the state replaced by another thing, under a digest that holds."""
    import torch

    state = torch.load(io.BytesIO(content), weights_only=True)
    at, key = None, None
    inner: Any = state
    while isinstance(inner, dict | list) and inner and (at is None or rng.random() < 0.8):
        at, key = inner, _one(rng, list(inner) if isinstance(inner, dict) else range(len(inner)))
        inner = at[key]
    junk = [*_JSON, torch.zeros(3), torch.zeros((), dtype=torch.int64), torch.full((2, 2), float("nan"))]
    if at is not None:
        at[key] = inner[:-1] if hasattr(inner, "shape") and inner.ndim and rng.random() < 0.4 else _one(rng, junk)
    path = folder / "work.pt"
    torch.save(state, path)
    seal(path)
    return path.read_bytes()
