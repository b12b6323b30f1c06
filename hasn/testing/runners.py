"""Who is judged: hasn's own two interpreters of a Program, and backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import nir

import hasn
from hasn.backend import get_backend
from hasn.executable import Executable
from hasn.program.model import Program
from hasn.testing.interpreter import NetworkInterpreter, ProgramInterpreter

#: Not backends but judges of hasn.program: the Program and the Network, each run as it stands.
INTERPRETERS: dict[str, Callable[[Program], Executable]] = {
    "program": ProgramInterpreter,
    "network": NetworkInterpreter,
}
#: The arithmetics that the suite has tolerances for.
PRECISIONS = ("float64", "float32")


def everyone() -> tuple[str, ...]:
    """The interpreters and all backends, installed or not."""
    return (*INTERPRETERS, *hasn.list_backends())


def precisions(runner: str) -> tuple[str, ...]:
    """The arithmetics in which a runner is judged.

    Raises:
        OptionError: there is no such backend.
    """
    if runner in INTERPRETERS:
        return PRECISIONS[:1]
    return tuple(name for name in PRECISIONS if name in get_backend(runner).precisions)


@contextmanager
def sharing() -> Iterator[None]:
    """A block in which executables run one after the other and share what is slow to start (Backend.session)."""
    with ExitStack() as stack:
        for name in hasn.list_backends():
            stack.enter_context(get_backend(name).session())
        yield


def why_not(runner: str) -> str:
    """Why a runner cannot run here; empty if it can."""
    return "" if runner in INTERPRETERS else get_backend(runner).why_not()


def make(runner: str, graph: nir.NIRGraph, options: dict[str, Any], precision: str = "float64") -> Executable:
    """The graph, ready to run."""
    if runner in INTERPRETERS:
        return INTERPRETERS[runner](hasn.lower(graph, **options))
    return hasn.compile(graph, runner, precision=precision, **options)
