"""Brian2's global preferences, set for one piece of work and put back."""

from __future__ import annotations

import hashlib
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hasn.backends.brian2.load import brian2

#: Brian2's own flags have -ffast-math; contraction to fused multiply-add would round differently from NumPy.
COMPILER_FLAGS = ["-w", "-O3", "-ftree-vectorize", "-std=c++11", "-fno-fast-math", "-ffp-contract=off"]

prefs = brian2.prefs
_LOCK = threading.RLock()


@contextmanager
def isolated(precision: str, target: str, device: Any = None) -> Iterator[None]:
    """Set Brian2 up for hasn, and leave everything as it was found: preferences, log level, device.

    Args:
        precision: "float64" or "float32".
        target: "numpy" or "cython".
        device: a Brian2 device; default: the runtime.
    """
    wanted = {
        "codegen.target": target,
        "codegen.string_expression_target": "numpy",
        # It may reorder sums; and hasn's code has nothing to be taken out of a loop.
        "codegen.loop_invariant_optimisations": False,
        "codegen.runtime.cython.cache_dir": _cache_dir(prefs["codegen.runtime.cython.cache_dir"]),
        "codegen.cpp.extra_compile_args": None,
        "codegen.cpp.extra_compile_args_gcc": list(COMPILER_FLAGS),
        # Brian2 appends to this list while it compiles.
        "codegen.cpp.include_dirs": list(prefs["codegen.cpp.include_dirs"]),
        "core.default_float_dtype": np.dtype(precision).type,
        # Or Ctrl-C would end a run early, and what there is would pass for the whole.
        "core.stop_on_keyboard_interrupt": False,
        # Threads would add up a neuron's input in any order.
        "devices.cpp_standalone.openmp_threads": 0,
    }
    with _LOCK, _quiet(), _whole_modules(), _device(device or brian2.all_devices["runtime"]):
        found = {name: prefs[name] for name in wanted}
        running = brian2.Network._globally_running
        try:
            for name, value in wanted.items():
                prefs[name] = value
            yield
        finally:
            for name, value in found.items():
                prefs[name] = value
            brian2.Network._globally_running = running  # an interrupted run leaves it set


def _cache_dir(users: str | None) -> str | None:
    """A cache of our own: Brian2's cache key leaves the compiler's flags out, so its cache may hold fast-math code."""
    from brian2.codegen.runtime.cython_rt.extension_manager import get_cython_cache_dir

    folder = users or get_cython_cache_dir()
    if folder is None:  # no Cython
        return None
    flags = hashlib.sha256(" ".join(COMPILER_FLAGS).encode()).hexdigest()[:8]
    return str(Path(folder) / f"hasn_{flags}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Errors alone are logged; Brian2's calls to deprecated names of its own libraries are not the user's business."""
    logger = logging.getLogger("brian2")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _device(device: Any) -> Iterator[None]:
    from brian2.devices.device import reset_device  # brian2.devices.device, the attribute, is a proxy

    if brian2.get_device() is device:
        yield
        return
    brian2.set_device(device, build_on_run=False)
    try:
        yield
    finally:
        reset_device()


@contextmanager
def _whole_modules() -> Iterator[None]:
    """Brian2 loads no compiled file that is not whole."""
    from brian2.codegen.runtime.cython_rt import cython_rt

    found = cython_rt.cython_extension_manager
    cython_rt.cython_extension_manager = _modules()
    try:
        yield
    finally:
        cython_rt.cython_extension_manager = found


@cache
def _modules() -> Any:
    from hasn.backends.brian2.cython_cache import WholeModules

    return WholeModules()


#: That a test compilation has worked; one that failed is tried again.
_compiled: list[bool] = []


def cython_trouble() -> tuple[str, str]:
    """Why Cython and a C++ compiler do not work here, and what to do; two empty texts where a test compilation did."""
    from hasn.backends.brian2.cython_cache import trouble

    if _compiled:
        return "", ""
    with isolated("float64", "numpy"):
        reason, way_out = trouble()
    if not reason:
        _compiled.append(True)
    return reason, way_out


def cython_works() -> bool:
    """Whether Cython and a C++ compiler work here."""
    return not cython_trouble()[0]
