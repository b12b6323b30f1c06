"""The digest of a zip file, in the comment at its end."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hasn.ir.seal import seal, seal_of


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    np.savez(tmp_path / "x.npz", a=np.arange(3), b=np.ones((2, 2)))
    seal(tmp_path / "x.npz")
    return tmp_path / "x.npz"


def test_a_sealed_file_reads_as_before(sealed: Path) -> None:
    with np.load(sealed) as file:
        assert file["a"].tolist() == [0, 1, 2]
        assert file["b"].tolist() == [[1, 1], [1, 1]]
    with zipfile.ZipFile(sealed) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"hasn sha256 ")
    with sealed.open("rb") as file:
        assert seal_of(file) == "whole"
        assert file.tell() == 0


def test_no_byte_can_change(sealed: Path) -> None:
    """Every single byte; in the mark the seal is gone, everywhere else it is broken."""
    content = sealed.read_bytes()
    mark = content.rindex(b"hasn sha256 ")
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x20
        wanted = "none" if mark <= place < mark + 12 else "broken"
        assert seal_of(io.BytesIO(bytes(changed))) == wanted, place
    assert seal_of(io.BytesIO(content[:-1])) == "none"
    assert seal_of(io.BytesIO(content + b"x")) == "none"
    assert seal_of(io.BytesIO(content[1:])) == "broken"
    assert seal_of(io.BytesIO(b"")) == "none"


def test_what_cannot_be_sealed(tmp_path: Path, sealed: Path) -> None:
    with pytest.raises(ValueError, match="no zip file without a comment"):
        seal(sealed)
    (tmp_path / "text").write_text("x" * 100)
    with pytest.raises(ValueError, match="no zip file without a comment"):
        seal(tmp_path / "text")
