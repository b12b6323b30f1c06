"""Lava itself, or its double in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hasn.backends.lava import BACKEND, client, environment
from tests.unit.backends.lava import double
from tests.unit.backends.lava.nets import needs_lava


@contextmanager
def on_the_double() -> Iterator[list[double.InProcess]]:
    """Executables run on Lava's double; gives the workers that were taken."""
    workers: list[double.InProcess] = []

    def take(python: Path, time_limit: float) -> tuple[double.InProcess, bool]:
        workers.append(double.InProcess())
        workers[-1].time_limit = time_limit
        return workers[-1], True

    with pytest.MonkeyPatch.context() as patch, double.lava():
        patch.setattr(client, "take_worker", take)
        patch.setattr(client, "lava_python", Path)
        patch.setattr(environment, "status", lambda: environment.Status(True, "", "", {"lava-nc": "double"}))
        yield workers
        for worker in workers:
            worker.close()


@pytest.fixture
def workers() -> Iterator[list[double.InProcess]]:
    """On the double: the workers."""
    with on_the_double() as taken:
        yield taken


@pytest.fixture(params=["double", pytest.param("lava", marks=needs_lava)])
def lava(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of the two a test runs on: once on each."""
    if request.param == "double":
        with on_the_double():
            yield "double"
    else:
        yield "lava"


@pytest.fixture(scope="module")
def one_worker() -> Iterator[None]:
    """One worker for all of a module's runs on Lava itself: it takes a second to start. Not for streams."""
    with BACKEND.session():
        yield
