"""The values of HDF5 datasets, within one budget of memory for a whole file: what they claim is looked at first."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hasn.errors import FileError

#: A file may take this much memory, and as many times its own size again.
FREE, TIMES = 64 * 2**20, 64
#: What an entry of a group, a chunk and a string cost beside their contents.
ENTRY, CHUNK, STRING = 512, 512, 64
#: Bytes of strings that are read at a time.
_PIECE = 4 * 2**20
#: Filters whose output is known before it is made: deflate, shuffle, fletcher32, and h5py's own lzf.
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}


class Budget:
    """Memory that the contents of one file may take.

    Args:
        path: the file.
        longest: bytes of the longest string in it.
    """

    def __init__(self, path: Path, longest: int) -> None:
        self.path = str(path)
        self.size = path.stat().st_size
        self.longest = longest
        self.most = FREE + TIMES * self.size
        self.left = self.most

    def take(self, count: int, what: str) -> None:
        """Claim bytes.

        Raises:
            FileError: they are more than a file of this size may take.
        """
        self.left -= count
        if self.left < 0:
            raise self.refused(
                f"a file of {self.size:,} bytes would take more than {self.most:,} bytes of memory, "
                f"and {what} is one thing too many",
                "If you trust it, write it anew: hasn.save(nir.read(path), path, force=True) stores as it is what "
                "packs that well.",
            )

    def value(self, item: h5py.Dataset) -> Any:
        """A dataset's value.

        Raises:
            FileError: it lies in another file, points elsewhere, or claims more than the file may take.
        """
        name = str(item.name)
        self._own(item, name)
        if item.shape is None:
            return item[()]
        count = math.prod(item.shape)
        self.take(count * (item.dtype.itemsize + (STRING if item.dtype.hasobject else 0)), name)
        if item.chunks is not None:
            self._chunks(item, name)
        if item.dtype.hasobject and count * self.longest > _PIECE:
            self._strings(item, name)
        return item[()]

    def _own(self, item: h5py.Dataset, name: str) -> None:
        """Refuse what is not in the dataset itself."""
        plan = item.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL:
            files = sorted({source.file_name for source in item.virtual_sources()})
            raise self.refused(f"{name} is a view of other data, which is not read", "Copy the data in.", files)
        if plan.get_external_count():
            files = [plan.get_external(i)[0].decode(errors="replace") for i in range(plan.get_external_count())]
            raise self.refused(f"{name} lies in another file, which is not read", "Copy the data in.", files)
        kind = item.id.get_type()
        if kind.detect_class(h5py.h5t.REFERENCE):
            raise self.refused(f"{name} holds references to other data, not values", "Store the values.")
        if item.dtype.hasobject and h5py.check_string_dtype(item.dtype) is None:
            raise self.refused(
                f"{name} holds values of unequal length", "Store an array of numbers.", str(item.dtype.metadata)
            )

    def _chunks(self, item: h5py.Dataset, name: str) -> None:
        """What HDF5 holds to read it: each chunk whole, even where the data are fewer, and what it is compressed to."""
        chunk = math.prod(item.chunks) * item.dtype.itemsize
        self.take(chunk, name)
        self.take(CHUNK * math.prod(-(-n // c) for n, c in zip(item.shape, item.chunks, strict=True)), name)
        plan = item.id.get_create_plist()
        filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) < len(filters):
            raise self.refused(
                f"{name} is compressed in a way that is not read here",
                "Write it with gzip, or not compressed (h5repack).",
                f"HDF5 filters {filters}",
                "deflate, shuffle, fletcher32 or lzf, each once",
            )
        if h5py.h5z.FILTER_DEFLATE not in filters:
            return
        if {*filters[filters.index(h5py.h5z.FILTER_DEFLATE) + 1 :]} - {h5py.h5z.FILTER_FLETCHER32}:
            raise self.refused(
                f"{name} is compressed twice", "Write it with gzip, or not compressed (h5repack).", f"filters {filters}"
            )
        stored: list[Any] = []
        item.id.chunk_iter(stored.append)
        skipped = 1 << filters.index(h5py.h5z.FILTER_DEFLATE)
        for found in stored:
            if not found.filter_mask & skipped and not _inflates_to(item, found, chunk):
                raise self.refused(f"{name} unpacks to more than its chunks of {chunk:,} bytes", "Export it again.")

    def _strings(self, item: h5py.Dataset, name: str, box: tuple[range, ...] | None = None) -> None:
        """Take what strings need that may all be the same long one; in pieces, so that no piece is a bomb."""
        box = tuple(range(n) for n in item.shape) if box is None else box
        count = math.prod(map(len, box))
        if count * self.longest > _PIECE and count > 1:
            axis = max(range(len(box)), key=lambda i: len(box[i]))
            half = len(box[axis]) // 2
            for part in (box[axis][:half], box[axis][half:]):
                self._strings(item, name, (*box[:axis], part, *box[axis + 1 :]))
        elif count:
            found = item[tuple(slice(part.start, part.stop) for part in box)]
            self.take(sum(map(len, np.ravel(found))), name)

    def refused(self, message: str, way_out: str, got: object = None, wanted: str | None = None) -> FileError:
        """The error that names this file."""
        return FileError(message, parameter=self.path, got=got, wanted=wanted, way_out=way_out)


def _inflates_to(item: h5py.Dataset, stored: Any, most: int) -> bool:
    """Whether a stored chunk unpacks to ``most`` bytes at the most; it is unpacked in pieces that are thrown away.

    HDF5's deflate filter doubles its memory until the stream ends, whatever size the chunk is said to have.
    """
    _, data = item.id.read_direct_chunk(stored.chunk_offset)
    engine, made = zlib.decompressobj(), 0
    while not engine.eof and data:
        made += len(engine.decompress(data, 1 << 20))
        data = engine.unconsumed_tail
        if made > most:
            return False
    return True
