"""Names that no node may have, in `check`, in `save` and in `load`; and those that it may."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, HasnError
from hasn.ir.names import fault_of, shown
from tests.graphs import Draw, chain, graph, inp, out

#: The name, what the message says, and how it is shown.
BAD: dict[str, tuple[str, str, str]] = {
    "NUL": ("a\0b", "a control character, U+0000", r"a\x00b"),
    "NUL at the end": ("a\0", "a control character, U+0000", r"a\x00"),
    "new line": ("a\nb", "a control character, U+000A", r"a\nb"),
    "return": ("a\rb", "a control character, U+000D", r"a\rb"),
    "tab": ("a\tb", "a control character, U+0009", r"a\tb"),
    "escape": ("\x1b[31ma", "a control character, U+001B", r"\x1b[31ma"),
    "delete": ("a\x7f", "a control character, U+007F", r"a\x7f"),
    "C1": ("a\x9b1", "a control character, U+009B", r"a\x9b1"),
    "line separator": ("a\u2028b", "a line break, U+2028", r"a\u2028b"),
    "paragraph separator": ("a\u2029b", "a paragraph break, U+2029", r"a\u2029b"),
    "right-to-left mark": ("a\u200fb", "turns the direction of text, U+200F", r"a\u200fb"),
    "right-to-left override": ("\u202eevil", "turns the direction of text, U+202E", r"\u202eevil"),
    "isolate": ("a\u2066b", "turns the direction of text, U+2066", r"a\u2066b"),
    "arabic letter mark": ("a\u061c", "turns the direction of text, U+061C", r"a\u061c"),
    "surrogate": ("\ud800x", "half a character, U+D800", r"\ud800x"),
    "slash": ("a/b", "HDF5 takes '/' for a path", "a/b"),
    "a path out": ("../b", "HDF5 takes '/' for a path", "../b"),
    "nothing": ("", "HDF5 takes '/' for a path", ""),
    "dot": (".", "HDF5 takes '/' for a path", "."),
    "dots": ("..", "a path of dots leads elsewhere", ".."),
    "three dots": ("...", "a path of dots leads elsewhere", "..."),
}
GOOD = [
    "a", "é", "神経", "😀", "👩‍🔬", "می‌خواهم", "שלום", "a b", "a.b", "a..b", "-x", "a\\b:c*", "'\"", "%d{}", "x" * 300,
    "self",
]  # fmt: skip


def named(name: str, inside: bool = False) -> nir.NIRGraph:
    lif = Draw(1).lif(3)
    inner = graph({"in": inp(3), name: lif, "out": out(3)}, dt=1e-3)
    inner.edges = [("in", name), (name, "out")]
    return chain(inner, given=(3,), result=(3,)) if inside else inner


@pytest.mark.parametrize("inside", [False, True], ids=["", "nested"])
@pytest.mark.parametrize("name", BAD)
def test_a_name_that_cannot_be(name: str, inside: bool, tmp_path: Path) -> None:
    bad, words, said = BAD[name]
    net = named(bad, inside)
    found = [finding for finding in hasn.check(net) if finding.severity == "error"]
    assert [finding.node for finding in found] == [f"n1.{said}" if inside and said else "n1" if inside else said]
    assert words in found[0].message
    assert found[0].repair == "Rename the node."
    text = str(found[0])
    assert text.isprintable()
    text.encode("utf8")
    for use in (hasn.compile, lambda g: hasn.save(g, tmp_path / "x.nir")):
        with pytest.raises(GraphError, match="Rename the node"):
            use(net)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", GOOD)
def test_a_name_that_can_be_comes_back_from_a_file(name: str, tmp_path: Path) -> None:
    net = named(name)
    assert not [finding for finding in hasn.check(net) if finding.severity == "error"]
    assert (fault_of(name), shown(name)) == ("", name)
    hasn.save(net, tmp_path / "x.nir")
    found = hasn.load(tmp_path / "x.nir")
    assert set(found.nodes) == set(net.nodes)
    assert np.array_equal(found.nodes[name].tau, net.nodes[name].tau)


@pytest.mark.parametrize("raw", [b"a\nb", b"a\xff\xfeb"], ids=["new line", "no UTF-8"])
def test_a_file_with_such_a_name_is_refused(raw: bytes, nir_file: Path) -> None:
    with h5py.File(nir_file, "r+") as file:
        nodes = file["node/nodes"].id
        nodes.links.move(b"n2", nodes, raw)
    with pytest.raises(HasnError) as caught:
        hasn.load(nir_file)
    text = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
    text.encode("utf8")
    assert text.isprintable()
