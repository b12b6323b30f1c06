"""Which workers this process belongs to. Imports no torch where it is alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hasn.backends.snntorch.training.workers import Workers
from hasn.torchrun import started


@contextmanager
def open_workers(device: Any) -> Iterator[Workers]:
    """The workers that this process belongs to: torch's process group if there is one, else torchrun's, else itself.

    A process group that is made here is destroyed in the end. What one worker raises inside is raised in all.

    Args:
        device: that training was asked to use; on a CUDA device gradients go over nccl, else over gloo.

    Raises:
        BackendUnavailable: torchrun started several processes, and this torch cannot join them.
    """
    if not _joined() and started() < 2:
        yield Workers()
        return
    from hasn.backends.snntorch.training.process_group import joined

    with joined(device) as group:
        yield group


def _joined() -> bool:
    """Whether somebody has made a process group. Without torch nobody has."""
    torch = sys.modules.get("torch")
    distributed: Any = getattr(torch, "distributed", None)
    return distributed is not None and distributed.is_available() and bool(distributed.is_initialized())
