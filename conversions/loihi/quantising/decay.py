"""What rounding does to time constants: a decay has 12 bits, and keeps 0 to 4096 parts in 4096 of a state each step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from hasn.conversions.loihi.quantising.equation import Equation
from hasn.conversions.loihi.quantising.rounding import decays
from hasn.errors import UnsupportedError
from hasn.program.integers.model import DECAY_BITS
from hasn.program.model import Floats

#: By how much of itself a time constant may move without a word.
MOVED = 0.1


def check_decays(equation: Equation, taus: Sequence[str], dt: float) -> None:
    """Refuse decays that the chip does not have, and warn of time constants that rounding moves.

    A time constant is ``dt / (1 - keep)``, by what a step keeps of the state.

    Args:
        equation: of a population.
        taus: names of its time constants, the membrane's last.
        dt: seconds a step.

    Raises:
        UnsupportedError: a step turns the sign of a state (``dt/tau > 1`` in an Euler step).
    """
    voltage = taus[-1] if taus else "v"
    _check(equation.name, voltage, equation.keep_v, 0, dt)
    if equation.keep_c is not None:
        _check(equation.name, taus[0] if len(taus) > 1 else "current", equation.keep_c, 1, dt)


def _check(node: str, parameter: str, keep: Floats, offset: int, dt: float) -> None:
    worst = int(np.argmin(keep))
    if keep[worst] < 0:
        raise UnsupportedError(
            "an Euler step turns the sign of the state, and the chip's decay only shrinks it",
            node=node,
            parameter=parameter,
            got=f"{dt / (1 - keep[worst]):.4g} s, so that a step of {dt:.4g} s keeps {keep[worst]:.3g}",
            wanted=f"at least dt = {dt:.4g} s",
            way_out="Take a smaller dt, or a longer time constant.",
        )
    lost = 1.0 - keep
    kept = (decays(keep, offset) + offset) / (1 << DECAY_BITS)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(lost > 0, np.abs(lost / kept - 1.0), np.where(kept > 0, np.inf, 0.0))
    worst = int(np.argmax(moved))
    if moved[worst] > MOVED:
        before, after = (f"{dt / part[worst]:.4g} s" if part[worst] > 0 else "infinite" for part in (lost, kept))
        more = int(np.count_nonzero(moved > MOVED))
        of = f" ({more} such neurons)" if more > 1 else ""
        warnings.warn(
            f"node '{node}' {parameter}: rounding to 12 bits moves it from {before} to {after}{of}; "
            f"a larger dt, or a time constant below {0.1 * dt * (1 << DECAY_BITS):.4g} s, is kept to some 5 %",
            RuntimeWarning,
            stacklevel=7,
        )
