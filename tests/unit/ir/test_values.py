"""NIR's loosely typed parameters: which forms mean the same, and which mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.errors import ParameterError
from hasn.nodes.values import array_of, numbers, pads, pair, single, text


class Refuses:
    """No array can be made of it."""

    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("no")


def test_what_is_no_array() -> None:
    for value in (Refuses(), [[1, 2], [3]]):
        assert array_of(value) is None
        assert numbers(value) is None


@pytest.mark.parametrize("value", [True, 3, 2.5, np.uint8(3), [1, 2], np.float16(1)])
def test_numbers(value: Any) -> None:
    found = numbers(value)
    assert found is not None
    assert found.tolist() == np.asarray(value).tolist()


@pytest.mark.parametrize("value", ["3", b"3", 1j, None, [object()], np.datetime64("2020-01-01")])
def test_no_numbers(value: Any) -> None:
    assert numbers(value) is None


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("same", "same"), (b"same", "same"), (np.str_("same"), "same"), (np.array("same"), "same"),
        (np.array([b"same"]), "same"), (np.array([["same"]], dtype=object), "same"), (b"a\xff", "a\ufffd"),
        (np.array(["a", "b"]), None), (np.array([], dtype=str), None), (3, None), (None, None), (["same"], None),
    ],
)  # fmt: skip
def test_a_text_in_every_form_that_hdf5_gives_it(value: Any, meant: str | None) -> None:
    assert text(value) == meant
    assert meant is None or type(text(value)) is str


@pytest.mark.parametrize("value", [3, 3.0, np.array(3), np.array([3]), [[3.0]], np.uint8(3)])
def test_one_whole_number(value: Any) -> None:
    assert (single(value), type(single(value))) == (3, int)


@pytest.mark.parametrize("value", [1.5, [1, 2], [], "3", True, None, Refuses(), np.nan, 3 + 0j])
def test_what_is_not_one_whole_number(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"is not one whole number; got .*; wanted an integer"):
        single(value)


@pytest.mark.parametrize(
    ("value", "dims", "meant"),
    [
        (2, 2, (2, 2)), (2, 1, (2,)), ([2], 1, (2,)), ([2, 3], 2, (2, 3)), (np.array([3.0, 2.0]), 2, (3, 2)),
        (np.array([[4]]), 2, (4, 4)), (-1, 2, (-1, -1)),
    ],
)  # fmt: skip
def test_one_integer_a_dimension(value: Any, dims: int, meant: tuple[int, ...]) -> None:
    assert pair(value, dims) == meant
    assert all(type(n) is int for n in pair(value, dims))


@pytest.mark.parametrize(
    ("value", "dims"),
    [([1, 2], 1), ([1, 2, 3], 2), (1.5, 2), ([1, 0.5], 2), ("2", 1), (True, 1), ([], 2), ([[1], [2, 3]], 2)],
)
def test_what_is_no_integer_a_dimension(value: Any, dims: int) -> None:
    with pytest.raises(ParameterError, match=f"neither one integer nor one for each.*wanted 1 or {dims} integers"):
        pair(value, dims)


@pytest.mark.parametrize(
    ("value", "kernel", "dilation", "zeros"),
    [
        ("same", (3,), (1,), ((1, 1),)),
        ("same", (4,), (1,), ((1, 2),)),  # torch pads the odd one behind
        (b"same", (4, 3), (3, 1), ((4, 5), (1, 1))),
        ("same", (1, 2), (5, 5), ((0, 0), (2, 3))),
        ("valid", (4, 3), (1, 1), ((0, 0), (0, 0))),
        (2, (4, 3), (1, 1), ((2, 2), (2, 2))),
        (np.array([1, 0]), (4, 3), (2, 2), ((1, 1), (0, 0))),
    ],
)
def test_padding(value: Any, kernel: tuple[int, ...], dilation: tuple[int, ...], zeros: tuple[Any, ...]) -> None:
    assert pads(value, kernel, dilation) == zeros


def test_a_word_that_is_no_padding() -> None:
    with pytest.raises(
        ParameterError, match=r"padding: unknown padding; got 'full'; wanted 'same', 'valid' or integers"
    ):
        pads("full", (3,), (1,))
    with pytest.raises(ParameterError, match="wanted 1 or 2 integers"):
        pads([1, 2, 3], (3, 3), (1, 1))
