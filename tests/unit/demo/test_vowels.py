"""The reader of .ts files, and the Japanese vowels as aeon ships them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hasn.demo import vowels
from hasn.demo.vowels import Utterances, load_vowels, read_ts, split
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


def test_other_data_under_that_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def utterances(channels: int, speaker: int) -> Utterances:
        return Utterances((np.zeros((7, channels)),), np.array([speaker]))

    monkeypatch.setattr(vowels, "_folder", lambda: tmp_path)
    good = utterances(12, 8)
    for test, refused in ((utterances(12, 0), False), (utterances(11, 0), True), (utterances(12, 9), True)):
        parts = {"JapaneseVowels_TRAIN.ts": good, "JapaneseVowels_TEST.ts": test}
        monkeypatch.setattr(vowels, "read_ts", lambda path, parts=parts: parts[path.name])
        if refused:
            with pytest.raises(FileError, match="no Japanese vowels") as raised:
                load_vowels()
            assert raised.value.parameter == str(tmp_path)
        else:
            assert (load_vowels().train, load_vowels().test) == (good, test)


def test_the_folder_is_the_first_that_has_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b" / "datasets" / "data" / "JapaneseVowels").mkdir(parents=True)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "a"), str(tmp_path / "b")])
    monkeypatch.setattr(vowels, "find_spec", lambda name: spec if name == "aeon" else None)
    assert vowels._folder() == tmp_path / "b" / "datasets" / "data" / "JapaneseVowels"
    spec.submodule_search_locations = None
    with pytest.raises(FileError, match="not installed") as raised:
        vowels._folder()
    assert raised.value.way_out == "pip install --no-deps aeon==1.1.0"


def test_a_split_is_by_seed_and_keeps_the_order() -> None:
    labels = np.repeat(np.arange(9), 6)
    every = Utterances(tuple(np.array([[float(n)]]) for n in range(54)), labels)
    kept, held_out = split(every, 2, seed=1)
    numbers = [[int(frames[0, 0]) for frames in part.frames] for part in (kept, held_out)]
    assert numbers == [sorted(part) for part in numbers]
    assert sorted(numbers[0] + numbers[1]) == list(range(54))
    assert [labels[n] for n in numbers[1]] == held_out.speakers.tolist() == np.repeat(np.arange(9), 2).tolist()
    assert [labels[n] for n in numbers[0]] == kept.speakers.tolist()
    again = split(every, 2, seed=2)[1]
    assert numbers[1] != [int(frames[0, 0]) for frames in again.frames]


def test_a_header_may_say_little(tmp_path: Path) -> None:
    """One channel where no number is said; kinds and keys in any case; comments and empty lines anywhere."""
    read = read_ts(written(tmp_path, "@CLASSLABEL true a b\n\n@DATA\n# no\n1,2:b\n  \n3:a\n"))
    assert [frames.tolist() for frames in read.frames] == [[[1], [2]], [[3]]]
    assert read.speakers.tolist() == [1, 0]
    assert read.speakers.dtype == np.int64
    with pytest.raises(FileError, match="@classlabel"):
        read_ts(written(tmp_path, "@classlabel false\n@data\n1:b\n"))
    with pytest.raises(FileError, match="unknown class label"):
        read_ts(written(tmp_path, "@data\n1:b\n"))
    with pytest.raises(FileError, match="no number"):
        read_ts(written(tmp_path, "@dimensions 2 3\n@classlabel true b\n@data\n1:b\n"))
