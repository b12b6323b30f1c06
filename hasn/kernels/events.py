"""The event-driven product of a dense connection, on bare memory: ``_events.c``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType

from hasn.kernels.implementation import available, built

#: What the C function's arguments mean; the same number stands in ``_events.c``.
INTERFACE = 1


@dataclass(frozen=True)
class EventProduct:
    """``y = bias + sum over i with x_i != 0 of x_i weights[i]``, the sum in the order of i.

    Attributes:
        batch, inputs, outputs: x is (batch, inputs), weights (inputs, outputs), y (batch, outputs), C-contiguous.
        double: arrays are float64, not float32.
        threads: at most so many; fewer where there is little to do. The result does not depend on them.
    """

    batch: int
    inputs: int
    outputs: int
    double: bool = False
    threads: int = 1


def events_available() -> bool:
    """Whether the kernel was built and is not switched off."""
    return bool(available()) and _extension() is not None


def event_product(sizes: EventProduct, x: int, weights: int, y: int, bias: int = 0) -> Callable[[], None]:
    """What computes ``y`` at every call. Arrays are addresses; a bias of 0 is none.

    Raises:
        RuntimeError: there is no implementation, see :func:`events_available`.
    """
    module = _extension()
    if module is None:
        raise RuntimeError("hasn.kernels has no event-driven product here")
    shape = (sizes.batch, sizes.inputs, sizes.outputs)
    return partial(module.product, sizes.double, sizes.threads, *shape, x, weights, bias, y)


@cache
def _extension() -> ModuleType | None:
    return built("_events", INTERFACE)[0]
