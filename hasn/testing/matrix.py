"""Which runner is judged on which case in which precision: the parameters of the test modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import pytest

from hasn.executable import Executable
from hasn.testing import reference
from hasn.testing.cases import CASES
from hasn.testing.gaps import gap
from hasn.testing.judge import without_batch
from hasn.testing.reference import Reference
from hasn.testing.runners import PRECISIONS, everyone, make, precisions

#: hasn's own backends, which take turns.
OWN = ("brian2", "lava", "snntorch")


class Cell(NamedTuple):
    """One judgement: who, in which arithmetic, what about (run, stream, random), and on which case."""

    runner: str
    precision: str
    kind: str
    name: str

    def compiled(self) -> Executable:
        """The case, ready to run."""
        case = CASES[self.name]
        return make(self.runner, case.graph(), case.options(), self.precision)


@cache
def expected(name: str) -> Reference:
    """The reference's run of a case, in the form that the case's user gets."""
    case = CASES[name]
    inputs = {key: value if case.batch is not None else value[:, None] for key, value in case.inputs().items()}
    found = reference.run(case.graph(), inputs, case.dt, case.method, case.reset, case.timing)
    return found if case.batch is not None else without_batch(found)


def chosen(config: pytest.Config) -> tuple[str, ...]:
    """The runners of this session: those of ``--backend``, or everyone."""
    given: list[str] | None = config.getoption("hasn_backends", None)
    return tuple(given) if given else everyone()


def in_turn(config: pytest.Config) -> Callable[[str], tuple[str, ...]]:
    """runner -> the cases that it runs as whole sequences: all, where ``--backend`` asks for a backend.

    Where hasn's own backends are judged together, a case that only repeats another with another method, reset or batch
    (Case.grid) runs on one of them: what these change is the lowering, and the interpreters, like backends of other
    packages, run every case.
    """
    if config.getoption("hasn_backends", None):
        return lambda runner: tuple(CASES)
    given = turns()
    return lambda runner: tuple(name for name in CASES if runner not in OWN or given.get(name, runner) == runner)


@cache
def turns() -> dict[str, str]:
    """Case that repeats another -> who runs it. Repeats of one case go round, and each case begins with another."""
    families: dict[str, list[str]] = {}
    for name, case in CASES.items():
        if case.grid:
            families.setdefault(name.split("-")[0], []).append(name)
    return {
        name: OWN[(first + place) % len(OWN)]
        for first, family in enumerate(families.values())
        for place, name in enumerate(family)
    }


def parametrise(
    metafunc: pytest.Metafunc,
    kind: str,
    names: Callable[[str], Iterable[str]],
    only: tuple[str, ...] = PRECISIONS,
) -> None:
    """Give a test its cells.

    Args:
        metafunc: the test, whose argument is ``cell``.
        kind: what the test is about.
        names: runner -> the cases that it is judged on.
        only: precisions, of those that a runner has.
    """
    cells = [
        Cell(runner, precision, kind, name)
        for runner in chosen(metafunc.config)
        for precision in precisions(runner)
        if precision in only
        for name in names(runner)
    ]
    metafunc.parametrize("cell", [_parameter(cell) for cell in cells], indirect=True)


def _parameter(cell: Cell) -> Any:
    marks: list[Any] = [pytest.mark.lava] if cell.runner == "lava" else []
    reason = gap(cell.runner, cell.precision, cell.name)
    if reason:
        marks.append(pytest.mark.xfail(reason=reason, strict=True))
    return pytest.param(cell, id="-".join((cell.runner, cell.precision, cell.name)), marks=marks)
