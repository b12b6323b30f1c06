"""Workers of one start find each other in a store that holds what a start before has left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import sleep
from typing import Any

import pytest
from torch import distributed

from hasn.backends.snntorch.training.meeting import met
from hasn.errors import TrainingError


def store() -> Any:
    made: Any = distributed.HashStore()  # type: ignore[attr-defined]
    made.set_timeout(timedelta(seconds=20))
    return made


def meet(where: Any, late: int) -> list[str]:
    """What three workers agree on, one of which comes late."""

    def come(rank: int) -> str:
        sleep(0.2 if rank == late else 0)
        return met(where, rank, 3)

    with ThreadPoolExecutor(3) as threads:
        return list(threads.map(come, range(3)))


def test_every_start_has_a_name_of_its_own() -> None:
    """Whoever comes late, the others do not go on under the name of the last start."""
    where, names = store(), []
    for late in (0, 1, 2, 0):
        found = meet(where, late)
        assert len(set(found)) == 1
        names.append(found[0])
    assert len(set(names)) == 4


def test_a_start_that_died_before_all_had_come_is_forgotten() -> None:
    """Worker 0 called, worker 1 answered, nobody went."""
    where = store()
    where.set("hasn/call", "old")
    where.set("hasn/answer/old/1", "word of a dead worker")
    where.set("hasn/go/old/2", "word of another dead one")
    assert set(meet(where, late=0)) != {"old"}


def test_nobody_waits_for_ever() -> None:
    where = store()
    where.set("hasn/call", "old")
    where.set_timeout(timedelta(seconds=0.1))
    with pytest.raises(TrainingError, match=r"worker 1: worker 0 did not come; got 0:00:00.1\d* of waiting"):
        met(where, 1, 2)
