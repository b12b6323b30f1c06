"""Errors: one text from the parts, the parts kept, also across processes."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import Any

import pytest

from hasn import errors
from hasn.errors import HasnError, ParameterError

CLASSES = sorted(
    (c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, HasnError)), key=lambda c: c.__name__
)
PARTS = {"node": "a.lif", "parameter": "tau", "got": -1.5, "wanted": "> 0 s", "way_out": "Mend it."}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_text_holds_every_part_in_order(kind: type[HasnError]) -> None:
    error = kind("is bad", **PARTS)  # type: ignore[arg-type]
    assert str(error) == "node 'a.lif' tau: is bad; got -1.5; wanted > 0 s. Mend it."
    assert str(kind("is bad")) == "is bad"
    assert str(kind("is bad", parameter="dt", got=0)) == "dt: is bad; got 0"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"node": "n"}, "node 'n': is bad"),
        ({"node": ""}, "node '': is bad"),
        ({"got": False}, "is bad; got False"),
        ({"got": ""}, "is bad; got "),
        ({"got": None, "wanted": "", "way_out": ""}, "is bad"),
        ({"wanted": "more"}, "is bad; wanted more"),
        ({"way_out": "Mend it."}, "is bad. Mend it."),
    ],
)
def test_parts_that_do_not_apply_are_left_out(parts: dict[str, Any], text: str) -> None:
    error = HasnError("is bad", **parts)
    assert str(error) == text
    assert error.message == "is bad"
    assert [getattr(error, key) for key in PARTS] == [parts.get(key) for key in PARTS]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_pickled_error_keeps_class_text_and_parts(kind: type[HasnError]) -> None:
    error = kind("is bad", **PARTS)  # type: ignore[arg-type]
    error.add_note("(2 more)")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert {key: getattr(again, key) for key in PARTS} == PARTS
    assert again.__notes__ == ["(2 more)"]


def fail(number: int) -> None:
    """Runs in another process."""
    raise ParameterError("is bad", node="lif", parameter="tau", got=number)


def test_an_error_of_another_process_arrives_whole() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(ParameterError) as caught:
        pool.apply(fail, (7,))
    assert (str(caught.value), caught.value.got) == ("node 'lif' tau: is bad; got 7", 7)


def test_each_class_is_also_what_plain_python_would_raise() -> None:
    wanted = {
        "FileError": OSError,
        "GraphError": ValueError,
        "TimeStepError": ValueError,
        "OptionError": ValueError,
        "InputError": ValueError,
        "UnsupportedError": NotImplementedError,
        "BackendUnavailable": RuntimeError,
    }
    for name, base in wanted.items():
        assert issubclass(getattr(errors, name), base)
