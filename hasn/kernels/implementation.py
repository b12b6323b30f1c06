"""Which implementation of the kernels is in use."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType

#: Set to "0", the kernels are as if they had not been built; for tests and for whoever suspects them.
SWITCH = "HASN_KERNELS"

#: What the C function's arguments mean; the same number stands in ``_scan.c``.
INTERFACE = 1


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
    """The implementation in use."""
    if os.environ.get(SWITCH) == "0":
        return Implementation("none", why=f"{SWITCH}=0")
    module, why = _extension()
    if module is None:
        return Implementation("none", why=why)
    return Implementation("c", bool(module.openmp), tuple(module.targets.split(", ")))


def extension() -> ModuleType:
    """The C extension.

    Raises:
        RuntimeError: it was not built, or is switched off.
    """
    module, _ = _extension()
    if module is None or not available():
        raise RuntimeError(f"hasn.kernels has no implementation here: {available().why}")
    return module


@cache
def _extension() -> tuple[ModuleType | None, str]:
    try:
        module = importlib.import_module("hasn.kernels._scan")
    except ImportError as error:
        return None, f"not built when hasn was installed, or not loadable: {error}"
    if getattr(module, "interface", None) != INTERFACE:
        return None, "built from older sources: install hasn again"
    return module, ""
