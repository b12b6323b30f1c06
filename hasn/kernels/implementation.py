"""Which implementation of the kernels is in use."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from hasn.errors import OptionError

#: The environment variable that chooses: "0" is as if there were none (for tests, and for whoever suspects them); ""
#: and "1": what there is.
SWITCH = "HASN_KERNELS"

#: What the C function's arguments mean; the same number stands in ``_scan.c``.
INTERFACE = 3


@dataclass(frozen=True)
class Implementation:
    """What runs the hot loops.

    Attributes:
        name: "c", or "none": callers use their own fallback.
        openmp: whether it can use several threads.
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
    """The implementation in use.

    Raises:
        OptionError: ``HASN_KERNELS`` is neither.
    """
    return _chosen()[1]


def extension() -> ModuleType:
    """The C extension of the scan.

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
    if wanted not in ("", "1"):
        raise OptionError("no such choice of kernels", parameter=SWITCH, got=repr(wanted), wanted="0 or 1")
    return _compiled()


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
def _compiled() -> tuple[ModuleType | None, Implementation]:
    module, why = built("_scan", INTERFACE)
    if module is None:
        return None, Implementation("none", why=why)
    return module, Implementation("c", bool(module.openmp), tuple(module.targets.split(", ")))
