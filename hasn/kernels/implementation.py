"""Which implementation of the kernels is in use."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from hasn.errors import OptionError

#: The environment variable that chooses: "0" is as if there were none (for tests, and for whoever suspects them); a
#: name of :data:`_FINDERS` is that one or none; "" and "1" are the first of them that there is.
SWITCH = "HASN_KERNELS"

#: What the C function's arguments mean; the same number stands in ``_scan.c``.
INTERFACE = 1


@dataclass(frozen=True)
class Implementation:
    """What runs the hot loops.

    Attributes:
        name: "c", "numba", or "none": callers use their own fallback.
        openmp: whether it can use several threads (by OpenMP in C, by threads of its own in numba).
        targets: instruction sets it was compiled for; the processor's best is chosen at run time.
        why: why there is none; "" if there is one.
    """

    name: str
    openmp: bool = False
    targets: tuple[str, ...] = ()
    why: str = ""

    def __bool__(self) -> bool:
        return self.name != "none"


def available() -> Implementation:
    """The implementation in use: C, else numba, else none.

    Raises:
        OptionError: ``HASN_KERNELS`` names none.
    """
    return _chosen()[1]


def extension() -> ModuleType:
    """The module whose ``scan`` is in use.

    Raises:
        RuntimeError: there is none, or it is switched off.
    """
    module, found = _chosen()
    if module is None:
        raise RuntimeError(f"hasn.kernels has no implementation here: {found.why}")
    return module


def switched_off() -> bool:
    """Whether no kernel is wanted, of whatever device."""
    return os.environ.get(SWITCH) == "0"


def _chosen() -> tuple[ModuleType | None, Implementation]:
    if switched_off():
        return None, Implementation("none", why=f"{SWITCH}=0")
    wanted = os.environ.get(SWITCH, "")
    if wanted not in ("", "1", *_FINDERS):
        names = ", ".join(_FINDERS)
        raise OptionError("no such kernels", parameter=SWITCH, got=repr(wanted), wanted=f"0, 1, or one of {names}")
    reasons = []
    for name in (wanted,) if wanted in _FINDERS else _FINDERS:
        module, found = _FINDERS[name]()
        if module is not None:
            return module, found
        reasons.append(f"{name}: {found.why}")
    return None, Implementation("none", why="; ".join(reasons))


def built(name: str, interface: int) -> tuple[ModuleType | None, str]:
    """A C extension of this package, or why there is none. ``interface``: what its arguments mean, here and in C."""
    try:
        module = importlib.import_module(f"hasn.kernels.{name}")
    except ImportError as error:
        return None, f"not built when hasn was installed, or not loadable: {error}"
    if getattr(module, "interface", None) != interface:
        return None, "built from older sources: install hasn again"
    return module, ""


@cache
def _compiled_c() -> tuple[ModuleType | None, Implementation]:
    module, why = built("_scan", INTERFACE)
    if module is None:
        return None, Implementation("none", why=why)
    return module, Implementation("c", bool(module.openmp), tuple(module.targets.split(", ")))


@cache
def _compiled_by_numba() -> tuple[ModuleType | None, Implementation]:
    """Imports numba, which takes its time: only where it is wanted, or nothing better is there."""
    try:
        module = importlib.import_module("hasn.kernels.numba_scan")
    except (ImportError, AttributeError) as error:  # the latter from a numpy that this numba does not know
        return None, Implementation("none", why=f"pip install 'hasn[kernels]': {error}")
    return module, Implementation("numba", True, (module.processor(),))


#: In the order in which they are tried; they give the same bits.
_FINDERS = {"c": _compiled_c, "numba": _compiled_by_numba}
