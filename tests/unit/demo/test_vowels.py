"""The reader of .ts files, and the Japanese vowels as aeon ships them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hasn.demo import vowels
from hasn.demo.vowels import load_vowels, read_ts, split
from hasn.errors import FileError

HEADER = "#words\n@problemName two\n@timeStamps false\n@missing false\n@dimensions 2\n@classLabel true no yes\n@data\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "two.ts"
    path.write_text(text)
    return path


def test_series_of_different_lengths(tmp_path: Path) -> None:
    read = read_ts(written(tmp_path, HEADER + "1,2.5,-3:4,5,6:yes\n\n7:8e-1:no\n"))
    assert len(read) == 2
    np.testing.assert_array_equal(read.frames[0], [[1, 4], [2.5, 5], [-3, 6]])
    np.testing.assert_array_equal(read.frames[1], [[7, 0.8]])
    assert read.speakers.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER.replace("@data\n", ""), "no line @data"),
        (HEADER, "no series"),
        (HEADER.replace("@timeStamps false", "@timeStamps true") + "1:2:no\n", "@timestamps"),
        (HEADER.replace("@missing false", "@missing true") + "1:2:no\n", "@missing"),
        (HEADER.replace("@dimensions 2", "@dimensions two") + "1:2:no\n", "@dimensions"),
        (HEADER + "1:2:no\n1:2:maybe\n", "line 9: .*'maybe'"),
        (HEADER + "1,2:3:no\n", "line 8"),
        (HEADER + "1:?:no\n", "line 8"),
        (HEADER + "1:nan:no\n", "line 8"),
        (HEADER + "1:2:3:no\n", "3 channels"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FileError, match=says):
        read_ts(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_ts(tmp_path / "none.ts")


def test_the_command_where_aeon_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vowels, "find_spec", lambda name: None)
    with pytest.raises(FileError, match="pip install --no-deps aeon"):
        load_vowels()


def test_the_published_division() -> None:
    """Counts as published (UCI, Japanese Vowels): 270 and 370 utterances, 7 to 29 frames."""
    found = load_vowels()
    assert np.bincount(found.train.speakers).tolist() == [30] * 9
    assert np.bincount(found.test.speakers).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = [len(frames) for part in (found.train, found.test) for frames in part.frames]
    assert (min(lengths), max(lengths)) == (7, 29)
    # The first coefficients of the first utterance, as its file begins.
    np.testing.assert_array_equal(found.train.frames[0][:2, :2], [[1.860936, -0.207383], [1.891651, -0.193249]])


def test_a_split_divides_every_speaker() -> None:
    train = load_vowels().train
    kept, held_out = split(train, 10, seed=3)
    assert np.bincount(kept.speakers).tolist() == [20] * 9
    assert np.bincount(held_out.speakers).tolist() == [10] * 9
    both = {frames.tobytes() for part in (kept, held_out) for frames in part.frames}
    assert both == {frames.tobytes() for frames in train.frames}
