"""Japanese vowels: 640 utterances of /ae/ by nine speakers, as aeon's wheel ships them.

Kudo, Toyama & Shimbo, Multidimensional curve classification using passing-through regions, Pattern Recognition Letters
20, 1999: 12 cepstrum coefficients of linear prediction, a frame every 6.4 ms, 7 to 29 frames. Only the wheel's data
files are read, so none of aeon's own dependencies is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hasn.errors import FileError

#: Coefficients, speakers, frames of the longest utterance, seconds from frame to frame.
COEFFICIENTS, SPEAKERS, LONGEST, FRAME = 12, 9, 29, 6.4e-3
_FOLDER = Path("datasets", "data", "JapaneseVowels")
_WAY_OUT = "pip install --no-deps aeon==1.1.0"


@dataclass(frozen=True)
class Utterances:
    """Recorded utterances.

    Attributes:
        frames: for each utterance the coefficients (frames, 12), float64.
        speakers: who spoke it, 0..8, (N,) int64.
    """

    frames: tuple[NDArray[np.float64], ...]
    speakers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frames)

    def subset(self, chosen: NDArray[np.int64]) -> Utterances:
        """The utterances with these indices."""
        return Utterances(tuple(self.frames[i] for i in chosen), self.speakers[chosen])


@dataclass(frozen=True)
class Vowels:
    """The published division: 270 utterances to train on (30 of each speaker) and 370 to test with."""

    train: Utterances
    test: Utterances


def load_vowels() -> Vowels:
    """Both parts of the data set.

    Raises:
        FileError: aeon is not installed, or its data files are not what they should be.
    """
    folder = _folder()
    parts = [read_ts(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]
    for part in parts:
        channels = {frames.shape[1] for frames in part.frames}
        if channels != {COEFFICIENTS} or part.speakers.max() >= SPEAKERS:
            raise FileError("no Japanese vowels", parameter=str(folder), got=f"{sorted(channels)} channels")
    return Vowels(*parts)


def _folder() -> Path:
    spec = find_spec("aeon")
    for root in list(spec.submodule_search_locations or []) if spec else []:
        if (Path(root) / _FOLDER).is_dir():
            return Path(root) / _FOLDER
    raise FileError("the utterances (JapaneseVowels) are not installed", way_out=_WAY_OUT)


def split(utterances: Utterances, held_out: int, seed: int) -> tuple[Utterances, Utterances]:
    """Two parts, to choose by: ``held_out`` utterances of each speaker, drawn with ``seed``, make the second."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(utterances.speakers == s))[:held_out] for s in range(SPEAKERS)]
    chosen = np.sort(np.concatenate(drawn))
    return utterances.subset(np.setdiff1d(np.arange(len(utterances)), chosen)), utterances.subset(chosen)


# --- the .ts format


def read_ts(path: Path) -> Utterances:
    """Read a ``.ts`` file of labelled series without time stamps.

    Comments start with ``#``; a header of ``@key values`` ends with ``@data``; then a series on each line, channels
    divided by ``:`` and values by ``,``, the last part its label. Classes are numbered in the header's order.

    Args:
        path: the file.

    Raises:
        FileError: it cannot be read, is of another kind (time stamps, missing values, no labels), or is broken.
    """
    try:
        lines = path.read_text(encoding="utf8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot be read: {error}", parameter=str(path)) from error
    kept = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"]
    data = next((i for i, (_, line) in enumerate(kept) if line.lower() == "@data"), None)
    if data is None:
        raise FileError("no .ts file: it has no line @data", parameter=str(path))
    header = {key.lower(): values for _, line in kept[:data] for key, *values in [line.split()]}
    labels, channels = _labels(header, path), _channels(header, path)
    series = [_series(line, labels, channels, path, number) for number, line in kept[data + 1 :]]
    if not series:
        raise FileError("no series after @data", parameter=str(path))
    return Utterances(tuple(frames for frames, _ in series), np.array([label for _, label in series], dtype=np.int64))


def _labels(header: dict[str, list[str]], path: Path) -> list[str]:
    for key, wanted in (("@timestamps", "false"), ("@missing", "false"), ("@classlabel", "true")):
        got = header.get(key, [wanted])[:1]
        if got != [wanted]:
            raise FileError("a kind of .ts file that is not read", parameter=f"{path} {key}", got=got, wanted=wanted)
    return header.get("@classlabel", ["true"])[1:]


def _channels(header: dict[str, list[str]], path: Path) -> int:
    values = header.get("@dimensions", ["1"])
    if len(values) != 1 or not values[0].isdecimal():
        raise FileError("no number", parameter=f"{path} @dimensions", got=" ".join(values), wanted="how many channels")
    return int(values[0])


def _series(line: str, labels: list[str], channels: int, path: Path, number: int) -> tuple[NDArray[np.float64], int]:
    *parts, label = line.split(":")
    where = f"{path} line {number}"
    if label not in labels:
        raise FileError("unknown class label", parameter=where, got=repr(label), wanted=", ".join(labels))
    try:
        values = np.array([[float(value) for value in part.split(",")] for part in parts])
    except ValueError as error:
        raise FileError(f"broken series: {error}", parameter=where) from error
    if len(values) != channels or not np.all(np.isfinite(values)):
        raise FileError("broken series", parameter=where, got=f"{len(values)} channels", wanted=f"{channels}, finite")
    return values.T, labels.index(label)
