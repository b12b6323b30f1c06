"""How the suite runs a case: on the reference, on hasn's own two interpreters, or on a backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import hasn
from hasn.backend import get_backend
from hasn.executable import Executable
from hasn.program.model import Program
from tests.conformance import reference
from tests.conformance.cases import CASES
from tests.conformance.gaps import GAPS
from tests.conformance.interpreter import NetworkInterpreter, ProgramInterpreter
from tests.conformance.reference import Reference

#: Not backends but judges of hasn/program: the Program and the Network, each run as it stands.
INTERPRETERS: dict[str, Callable[[Program], Executable]] = {
    "program": ProgramInterpreter,
    "network": NetworkInterpreter,
}
SIMULATORS = ("snntorch", "brian2", "lava")


@cache
def expected(name: str) -> Reference:
    """The reference's run of a case, arrays (T, batch, *shape)."""
    case = CASES[name]
    inputs = {key: value if case.batch is not None else value[:, None] for key, value in case.inputs().items()}
    return reference.run(case.graph(), inputs, case.dt, case.method, case.reset, case.timing)


def without_batch(name: str, arrays: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The reference's arrays in the form that the case's user gets."""
    return arrays if CASES[name].batch is not None else {key: value[:, 0] for key, value in arrays.items()}


def make(backend: str, name: str, precision: str = "float64") -> Executable:
    """The case, compiled; skips where the simulator is not installed, and says why."""
    case = CASES[name]
    if backend in INTERPRETERS:
        return INTERPRETERS[backend](hasn.lower(case.graph(), **case.options()))
    why_not = get_backend(backend).why_not()
    if why_not:
        pytest.skip(why_not)
    return hasn.compile(case.graph(), backend, precision=precision, **case.options())


def parameters(names: list[str], backends: tuple[str, ...]) -> list[object]:
    """(backend, case) pairs, with Lava's marker and the gaps as strict expected failures."""
    found: list[object] = []
    for backend in backends:
        for name in names:
            marks = [pytest.mark.lava] if backend == "lava" else []
            if (backend, name) in GAPS:
                marks.append(pytest.mark.xfail(reason=GAPS[backend, name], strict=True))
            found.append(pytest.param(backend, name, id=f"{backend}-{name}", marks=marks))
    return found
