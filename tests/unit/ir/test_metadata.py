"""Metadata through a file: whatever goes in comes back equal, or is refused by its key."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import FileError, ParameterError
from hasn.ir.metadata import MARK
from tests.graphs import DT, Draw, chain

D = Draw(4)


def net() -> nir.NIRGraph:
    inner = chain(D.lif(3), given=(3,), result=(3,))
    return chain(inner, D.lif(3), given=(3,), result=(3,))


def through_a_file(value: Any, folder: Path) -> list[Any]:
    """What comes back from the graph, a nested graph, and the nodes of both."""
    graph = net()
    at = (graph, graph.nodes["n1"], graph.nodes["n2"], graph.nodes["n1"].nodes["n1"])
    for node in at:
        node.metadata["key"] = value
    hasn.save(graph, folder / "a.nir", force=True)
    for node in at:
        assert node.metadata["key"] is value  # the caller's is left alone
    read = hasn.load(folder / "a.nir")
    return [n.metadata["key"] for n in (read, read.nodes["n1"], read.nodes["n2"], read.nodes["n1"].nodes["n1"])]


def same(found: Any, value: Any) -> bool:
    """Equal, and of one kind: HDF5 has numpy's numbers for Python's, which are equal to them."""
    if isinstance(value, np.ndarray):
        return (
            isinstance(found, np.ndarray)
            and (found.dtype, found.shape) == (value.dtype.newbyteorder("="), value.shape)
            and bool(np.array_equal(found, value, equal_nan=value.dtype.kind == "f"))
        )
    if isinstance(value, dict):
        return isinstance(found, dict) and found.keys() == value.keys() and all(same(found[k], value[k]) for k in value)
    if isinstance(value, list | tuple):
        return type(found) is type(value) and len(found) == len(value) and all(map(same, found, value))
    return bool(found == value) and (
        isinstance(value, np.generic | int | float | complex) or type(found) is type(value)
    )


VALUES: dict[str, Any] = {
    "words": ["cat", "dog"],
    "one word in a list": ["cat"],
    "an array of words": np.array(["a", "bcd"]),
    "an array of words in two dimensions": np.array([["a", "b"], ["", "d"]]),
    "an array of bytes": np.array([b"a", b"bc"]),
    "words as objects, as nir.read gives them": np.array([b"cat", "dog"], dtype=object),
    "None": None,
    "None in a list": [None, 1, "a", 2.5, True],
    "numbers in a list": [1, 2, 3],
    "ragged lists": [[1], [2, 3], []],
    "an empty list": [],
    "a tuple": (1, ("a", 2.5)),
    "an empty dict": {},
    "an empty array": np.zeros((0, 3), dtype=np.float32),
    "a dict": {"a": 1, "b": {"c": np.arange(3), "d": "e"}},
    "a dict with a path for a key": {"a/b": 1},
    "a dict with numbers for keys": {1: "a", 2.5: "b", None: "c", (1, 2): "d"},
    "a dict that holds metadata": {"metadata": {}},
    "lists in a dict": {"a": ["x", "y"], "b": {"c": [1, None]}},
    "bytes": b"\x00\xff",
    "a word with a zero byte": "a\0b",
    "half a surrogate": "\ud800",
    "letters": "тест 脉冲 😀",
    "an empty word": "",
    "text with the mark": MARK + "[1]",
    "true": True,
    "a number": 7,
    "a large number": 2**100,
    "an unsigned number": 2**63 + 1,
    "a fraction": 0.1,
    "infinity": float("inf"),
    "a complex number": 1 + 2j,
    "complex in a list": [1 + 2j],
    "numpy's number": np.float32(0.1),
    "numpy's truth": np.bool_(False),
    "numpy's number in a list": [np.int16(3)],
    "numpy's word": np.str_("abc"),
    "truths": np.array([True, False]),
    "small numbers": np.arange(4, dtype=np.uint8).reshape(2, 2),
    "half precision": np.array([0.5, np.nan], dtype=np.float16),
    "no dimensions": np.float64(3.5),
    "big-endian": np.arange(3, dtype=">i4"),
    "arrays in a list": [np.arange(2), np.array(["x"])],
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_what_goes_in_comes_back(name: str, tmp_path: Path) -> None:
    value = VALUES[name]
    for found in through_a_file(value, tmp_path):
        if name == "numpy's word":
            assert found == "abc"
        else:
            assert same(found, value), (found, value)


def test_an_array_without_dimensions_comes_back_as_its_number(tmp_path: Path) -> None:
    for value in (np.array(2.5), {"a": np.array(2.5)}):
        found = through_a_file(value, tmp_path)[0]
        assert (found["a"] if isinstance(value, dict) else found) == 2.5


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "a path": ("a/b", 1, "metadata: no key that a file can hold: HDF5 takes '/' for a path; got 'a/b'"),
    "no name": ("", 1, "got ''"),
    "this group": (".", 1, "got '.'"),
    "a number for a key": (7, 1, "got 7"),
    "metadata in metadata": ("metadata", 1, "got 'metadata'"),
    "a set": ("tags", {1}, r"metadata\['tags'\]: does not come back from a file; got set: no set is kept in a file"),
    "a date": ("when", datetime.date(2026, 1, 1), r"metadata\['when'\]: does not come back from a file; got date"),
    "an object in a list": ("x", [object()], r"metadata\['x'\]: does not come back from a file; got list: no object"),
    "dates": ("x", np.array(["2026-01-01"], dtype="datetime64[D]"), r"metadata\['x'\]"),
    "masked": ("x", np.ma.masked_array([1, 2], mask=[0, 1]), r"metadata\['x'\]"),
    "a record": ("x", np.zeros(2, dtype=[("a", "f4")]), r"metadata\['x'\]"),
    "a function": ("x", len, r"metadata\['x'\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_come_back_is_refused_by_key(name: str, tmp_path: Path) -> None:
    key, value, words = REFUSED[name]
    graph = net()
    graph.nodes["n1"].nodes["n1"].metadata[key] = value
    with pytest.raises(FileError, match=words) as caught:
        hasn.save(graph, tmp_path / "a.nir")
    assert caught.value.node == "n1.n1"
    assert not (tmp_path / "a.nir").exists()


def test_another_tool_reads_the_file_and_words_in_json(tmp_path: Path) -> None:
    graph = chain(D.lif(3), given=(3,), result=(3,))
    graph.metadata.update(dt=DT, classes=["cat", "dog"], labels=np.arange(2))
    hasn.save(graph, tmp_path / "a.nir")
    read = nir.read(tmp_path / "a.nir")
    assert read.metadata["classes"] == f'{MARK}["cat", "dog"]'
    assert (read.metadata["dt"], read.metadata["labels"].tolist()) == (DT, [0, 1])
    nir.write(tmp_path / "b.nir", read)
    assert hasn.load(tmp_path / "b.nir").metadata["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    "text", ["", "[1", '{"tuple": 3}', '{"a": 1}', '{"array": ["f4", [2], [1]]}', "{}", "9" * 9999]
)
def test_a_damaged_value_is_refused_by_key(text: str, tmp_path: Path) -> None:
    hasn.save(net(), tmp_path / "a.nir")
    with h5py.File(tmp_path / "a.nir", "a") as file:
        file["node/nodes/n2"].create_group("metadata")["key"] = MARK + text
    with pytest.raises(ParameterError, match="is damaged") as caught:
        hasn.load(tmp_path / "a.nir")
    assert (caught.value.node, caught.value.parameter) == ("n2", "metadata['key']")
