"""Every error hasn raises: one hierarchy, each naming node, parameter, got, wanted and the way out."""

from __future__ import annotations


class HasnError(Exception):
    """Base of all errors of hasn.

    The text reads ``node 'lif' tau: <what is wrong>; got <value>; wanted <condition>. <way out>``, with the
    parts that do not apply left out. The parts stay readable as attributes.

    Args:
        message: what is wrong, in one clause.
        node: name of the graph node, with the names of the graphs it lies in (``outer.inner``).
        parameter: the node's parameter, or the option of a call.
        got: the offending value.
        wanted: the condition it should meet.
        way_out: what the user can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        parameter: str | None = None,
        got: object = None,
        wanted: str | None = None,
        way_out: str | None = None,
    ) -> None:
        self.message = message
        self.node = node
        self.parameter = parameter
        self.got = got
        self.wanted = wanted
        self.way_out = way_out
        super().__init__(self._text())

    def _text(self) -> str:
        node = None if self.node is None else f"node '{self.node}'"
        where = " ".join(part for part in (node, self.parameter) if part)
        clauses = [f"{where}: {self.message}" if where else self.message]
        if self.got is not None:
            clauses.append(f"got {self.got}")
        if self.wanted:
            clauses.append(f"wanted {self.wanted}")
        text = "; ".join(clauses)
        return f"{text}. {self.way_out}" if self.way_out else text

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword parts when the error crosses a process boundary."""
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(cls: type[HasnError], parts: dict[str, object]) -> HasnError:
    error = cls("")  # not cls.__new__: MemoryError's own is not that of a class with two bases
    error.__dict__.update(parts)
    Exception.__init__(error, error._text())
    return error


class FileError(HasnError, OSError):
    """A file cannot be read as NIR, or cannot be written."""

    # OSError's own __str__ would print its errno slots, which are empty here.
    def __str__(self) -> str:
        return self._text()


class GraphError(HasnError, ValueError):
    """The graph's structure is broken: an edge to nowhere, an unknown node type, a name used twice."""


class ShapeError(GraphError):
    """Two ends of an edge, or a parameter and its node, disagree on the shape."""


class ParameterError(GraphError):
    """A node's parameter has a value with no meaning (tau <= 0, R = 0, NaN weight ...)."""


class TimeStepError(HasnError, ValueError):
    """dt is missing, not positive, or too large for the method."""


class OptionError(HasnError, ValueError):
    """An option of a call (backend, precision, method ...) is not one of those there are."""


class InputError(HasnError, ValueError):
    """Input data of the wrong shape, type or value."""


class UnsupportedError(HasnError, NotImplementedError):
    """The backend cannot run this node as SEMANTICS says, and does not approximate it."""


class RetimingError(UnsupportedError):
    """A cycle has fewer steps of delay than its connections take on the hardware."""


class PlacementError(HasnError, ValueError):
    """The network does not fit the chip: names the limit, the node, and how much is over."""


class BackendUnavailable(HasnError, RuntimeError):
    """The backend is known but not installed here; the message has the command that installs it."""


class RepairWarning(UserWarning):
    """A file was mended while it was read; the text lists each change."""


class NotFiniteError(HasnError, FloatingPointError):
    """A state or a value left the range of numbers while a network ran: names the node and the step."""


class OutOfMemoryError(HasnError, MemoryError):
    """Memory does not suffice: names the node or the file, the bytes that are asked for, and the way out."""


class WorkerError(HasnError, RuntimeError):
    """The Lava worker process died, hung or answered with an error; the message has its last words."""


class TrainingError(HasnError, ArithmeticError):
    """Training cannot go on: the loss or a gradient is not finite, or one sample does not fit in memory."""
