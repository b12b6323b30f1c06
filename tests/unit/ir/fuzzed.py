"""Malformed graphs and files: what the fuzz tests put in place of a good value, and what must hold then."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

import hasn
from hasn.ir.typed import with_types
from hasn.testing.graphs import DT, Draw, graph, inp, out


def every_primitive() -> nir.NIRGraph:
    """A small graph in which each NIR primitive is at work, with metadata on some."""
    d = Draw(5)
    inner = graph({"in": inp(4), "lin": d.linear(4, 4), "n": d.neuron("CubaLIF", (4,)), "out": out(4)},
                  "in > lin > n > out", "n > n")  # fmt: skip
    nodes = {
        "input": inp(2, 6, 5),
        "conv": d.conv2d(4, 2, (3, 2), groups=2, padding="same"),
        "lif": d.lif(4, 6, 5, metadata={"reset": "subtract", "v_init": 0.3}),
        "sum": nir.SumPool2d(np.array([2, 1]), np.array([2, 2]), np.array([0, 0])),
        "avg": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([1, 0])),
        "rows": nir.Flatten({"input": np.array([4, 4, 2])}, 1, 2),
        "conv1d": d.conv1d(2, 4, 3, stride=2, padding=1),
        "flat": nir.Flatten({"input": np.array([2, 4])}, 0, -1),
        "affine": d.affine(4, 8),
        "if": d.neuron("IF", (4,)),
        "scale": nir.Scale(d.between(0.3, 1, (4,))),
        "delay": nir.Delay(np.array([0, 1, 3, 2]) * DT),
        "nested": inner,
        "li": d.neuron("LI", (4,)),
        "ci": d.neuron("CubaLI", (4,)),
        "i": d.neuron("I", (4,)),
        "threshold": nir.Threshold(d.between(0.1, 0.6, (4,))),
        "output": out(4),
    }
    return graph(nodes, " > ".join(nodes), "if > if", dt=DT, note="all of them")


#: What may stand in a file or a graph where something else should.
JUNK: dict[str, Any] = {
    "text": "abc",
    "empty text": "",
    "bytes": b"\xff\xfe",
    "no numbers": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "five dimensions": np.ones((1, 2, 1, 2, 1)),
    "another length": np.ones(7),
    "one number": 3.0,
    "half": 0.5,
    "zero": 0,
    "negative": -1,
    "huge": 2**62,
    "huge float": 1e300,
    "huge pair": np.array([2**40, 2**40]),
    "nan": float("nan"),
    "infinite": np.array([np.inf, -np.inf]),
    "complex": np.array([1 + 2j, 3j]),
    "bool": True,
    "float16": np.ones(4, dtype=np.float16),
    "big-endian": np.ones(4, dtype=">f8"),
    "unsigned": np.array([2**64 - 1], dtype=np.uint64),
    "texts": np.array([b"a", b"b", b"c", b"d"]),
    "records": np.zeros(4, dtype=[("a", float), ("b", "S3")]),
    "raw": np.zeros(2, dtype="V5"),
}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes replaced, or a piece cut out, or zeros over a piece."""
    data = bytearray(content)
    how = rng.integers(3)
    if how == 0:
        for place in rng.integers(0, len(data), size=int(rng.integers(1, 30))):
            data[place] = int(rng.integers(256))
    else:
        start = int(rng.integers(0, len(data)))
        stop = min(len(data), start + int(rng.integers(1, 400)))
        data[start:stop] = b"" if how == 1 else bytes(stop - start)
    return bytes(data)


def put(group: h5py.Group, name: str, value: Any) -> None:
    """Replace a field, whatever it was."""
    del group[name]
    group[name] = value


def fields(group: h5py.Group) -> list[str]:
    """Paths of all groups and datasets in a file."""
    found: list[str] = []
    group.visit(found.append)
    return found


def survives(act: Callable[[], nir.NIRGraph], errors: list[str], what: str) -> bool:
    """Whether ``act`` gives a graph that can be judged and lowered; anything but a HasnError is noted in ``errors``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = act()
            findings = hasn.check(found)
            try:
                hasn.lower(found)
                with_types(found)  # what hasn.compile hands to a backend besides
            except hasn.HasnError:
                return False
            if any(finding.severity == "error" for finding in findings):
                errors.append(f"{what}: check finds errors, lower does not")
        return True
    except hasn.HasnError:
        return False
    except Exception as error:
        errors.append(f"{what}: {type(error).__name__}: {error}")
        return False


def load_both_ways(path: Path, errors: list[str], what: str) -> int:
    """How many of {repair, no repair} give a graph."""
    return sum(survives(partial(hasn.load, path, repair=repair), errors, what) for repair in (False, True))


def places(net: nir.NIRGraph, prefix: str = "") -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Every attribute and metadata of a graph and its nodes, with a function that replaces it."""
    holders = {f"{prefix}(graph)": net, **{f"{prefix}{name}": node for name, node in net.nodes.items()}}
    for name, node in holders.items():
        for key in vars(node):
            yield f"{name}.{key}", partial(setattr, node, key)
        for key in ("dt", "reset", "v_init", "v_reset_assumed"):
            yield f"{name}.metadata[{key}]", partial(node.metadata.__setitem__, key)
        for key in ("input_type", "output_type"):
            yield f"{name}.{key}[..]", partial(set_types, node, key)
    for name in net.nodes:
        yield f"{prefix}nodes[{name}]", partial(net.nodes.__setitem__, name)
    for name, node in net.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from places(node, f"{prefix}{name}.")


def set_types(node: nir.NIRNode, key: str, value: Any) -> None:
    """Put a shape into a node's types."""
    setattr(node, key, {"input": value, "output": value})
