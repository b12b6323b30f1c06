"""What torchrun tells its processes. Nothing is imported: an interrupted command asks, in the middle of any import."""

from __future__ import annotations

import os

#: All of it must be there (schedulers set WORLD_SIZE alone).
_ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def rank() -> int:
    """Rank of this process among those that torchrun started; 0 for a process on its own."""
    return int(os.environ["RANK"]) if started() > 1 else 0


def started() -> int:
    """Processes that torchrun has started."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _ENVIRONMENT) else 1
