"""How the workers of this start find each other, and not those of a start before.

torchrun keeps one store over its restarts, and torch writes the addresses of every process group under the same keys.
A worker that comes first reads the addresses of the dead, and fails: so does torch's own init_process_group (2.13). So
the workers first agree on a name that was never used, and make their group under it:

    worker 0 sets call = a fresh name
    worker i reads call, sets answer/call/i = a word of its own, and waits for go/call/i to be that word
    worker 0 copies each answer/call/i to go/call/i

An old call has no go with a new word, so worker i looks for another call until there is one.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from hasn.errors import TrainingError

#: Seconds between two looks at the store: what a start may take longer.
_PAUSE = 0.02


def met(store: Any, rank: int, count: int) -> str:
    """A name that only the workers of this start have agreed on.

    Args:
        store: torch's, reached by all.
        rank: of this worker.
        count: of workers.

    Raises:
        TrainingError: worker 0 did not come within the store's timeout.
    """
    if rank == 0:
        call = uuid4().hex
        store.set("hasn/call", call)
        for other in range(1, count):
            store.set(f"hasn/go/{call}/{other}", store.get(f"hasn/answer/{call}/{other}"))
        return call
    word, end = uuid4().hex, time.monotonic() + store.timeout.total_seconds()
    while time.monotonic() < end:
        heard: str = store.get("hasn/call").decode()
        store.set(f"hasn/answer/{heard}/{rank}", word)
        go = f"hasn/go/{heard}/{rank}"
        time.sleep(_PAUSE)
        if store.check([go]) and store.get(go).decode() == word:
            return heard
    raise TrainingError("worker 0 did not come", parameter=f"worker {rank}", got=f"{store.timeout} of waiting")
