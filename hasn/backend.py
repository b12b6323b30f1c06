"""Backends: what they declare, and how they are found."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import nir

from hasn.errors import BackendUnavailable, OptionError
from hasn.executable import Executable
from hasn.nodes.lookup import kind_names
from hasn.program.model import Program

ENTRY_POINTS = "hasn.backends"


@dataclass(frozen=True)
class BackendInfo:
    """What a backend can do here.

    Attributes:
        available: whether it can run on this machine.
        why_not: what is missing and the command that installs it; empty if it is available.
        version: the simulator's version; empty if it is not installed.
        precisions: the arithmetics it offers.
        latency: steps that a connection takes by itself (hasn takes them out again, see Recording.shifts).
        primitives: NIR primitives that it runs.
    """

    available: bool
    why_not: str
    version: str
    precisions: tuple[str, ...]
    latency: int
    primitives: tuple[str, ...]


class Backend(ABC):
    """A way to run a Program. Importing the module that holds one must not import its simulator."""

    name: str
    precisions: tuple[str, ...]
    latency: int = 0
    primitives: tuple[str, ...] = ()
    """Node kinds that it runs; empty: all that there are."""
    learns: bool = False
    """Whether connections learn on it (Program.learning); where they do not, a network that learns is refused."""

    @abstractmethod
    def why_not(self) -> str:
        """Why it cannot run here, with the command that mends it; empty if it can. Cheap: imports no simulator."""

    @abstractmethod
    def version(self) -> str:
        """The simulator's version, empty if it is not installed."""

    @abstractmethod
    def compile(self, program: Program, graph: nir.NIRGraph | None, precision: str, **options: Any) -> Executable:
        """Make a Program ready to run; ``options`` are this backend's keyword arguments.

        ``graph`` is what it was lowered from, with types; None where only the Program was given.

        Raises:
            UnsupportedError: a step that the backend cannot run as it is meant.
        """

    def session(self) -> AbstractContextManager[None]:
        """A block within which executables that run one after the other may share what is slow to start."""
        return nullcontext()

    def info(self) -> BackendInfo:
        """What it can do here."""
        why_not = self.why_not()
        return BackendInfo(
            not why_not, why_not, self.version(), self.precisions, self.latency, self.primitives or kind_names()
        )

    def options(self) -> tuple[str, ...]:
        """Names of the backend's own options."""
        parameters = inspect.signature(self.compile).parameters.values()
        return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


@cache
def _entry_points() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value)):
        if point.name in found and found[point.name].value != point.value:
            raise OptionError(
                "two plug-ins offer a backend of this name",
                parameter=f"entry point {point.name}",
                got=f"{found[point.name].value} and {point.value}",
                way_out="Uninstall one of them.",
            )
        found[point.name] = point
    return found


def get_backend(name: str) -> Backend:
    """The backend of this name, installed or not.

    Raises:
        OptionError: there is no such backend; the message lists those there are.
    """
    points = _entry_points()
    if name not in points:
        raise OptionError(
            "unknown backend",
            parameter="backend",
            got=repr(name),
            wanted=", ".join(points) or "none is installed",
        )
    backend: Backend = points[name].load()
    return backend


def require_backend(name: str, precision: str) -> Backend:
    """The backend of this name, if it can run here in this precision.

    Raises:
        OptionError: unknown backend or precision.
        BackendUnavailable: its simulator is not installed; the message has the command.
    """
    backend = get_backend(name)
    if precision not in backend.precisions:
        raise OptionError(
            f"unknown precision for {name}",
            parameter="precision",
            got=repr(precision),
            wanted=" or ".join(backend.precisions),
        )
    why_not = backend.why_not()
    if why_not:
        raise BackendUnavailable(f"the backend {name} cannot run here: {why_not}", parameter="backend", got=repr(name))
    return backend


def list_backends() -> dict[str, BackendInfo]:
    """Every backend that is installed with hasn or by a plug-in, and whether its simulator is there."""
    return {name: get_backend(name).info() for name in _entry_points()}
