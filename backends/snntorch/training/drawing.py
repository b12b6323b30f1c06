"""Where a training's random numbers come from, so that several in one process do not take each other's.

A training that runs no code of the caller's draws the order of its samples, and nothing else, from a generator of its
own: any number of such trainings run at once. Functions of the caller's (data made anew, loaders, losses, regularisers,
optimizers ...) may draw from the generators of the process, which are seeded for them; such trainings hold a lock, so
that they run one after the other, each as it would alone.
Dropout has a generator of its own in both, seeded anew at every update.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.forms import opened
from hasn.backends.snntorch.training.losses import Loss, Several

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.options import Options

#: Held by a training that draws from the process's generators.
_process = threading.RLock()
#: Packages and modules whose functions draw no numbers.
_KNOWN = ("hasn.", "torch.optim", "torch.nn.modules.loss", "torch.nn.functional", "snntorch.")


def runs_alone(options: Options, *data: Any) -> bool:
    """Whether a training runs code of the caller's, which may draw from the process's generators."""
    optimizer = options.optimizer
    made = (
        [] if isinstance(optimizer, str) else [optimizer],
        [] if options.schedule is None else [options.schedule],
        options.regularisers,
        [options.loss],
        [value for value in options.backend.values() if callable(value)],
    )
    arrays = all(given is None or isinstance(opened(given)[0], tuple) for given in data)
    return not arrays or not all(_known(function) for some in made for function in some)


def _known(function: Any) -> bool:
    if isinstance(function, functools.partial):
        return _known(function.func)
    if isinstance(function, Mapping | Several):
        return all(map(_known, (function if isinstance(function, Mapping) else function.losses).values()))
    if isinstance(function, str):
        return True
    if isinstance(function, Loss):
        parts = (function.value, function.scores, function.step_scores)
        return all(part is None or _known(part) for part in parts)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.".startswith(_KNOWN)


def own_generator(seed: int | None) -> Any:
    """A generator with the state that torch's would have with this seed; None: that torch's has now."""
    import torch

    generator = torch.Generator()
    if seed is None:
        generator.set_state(torch.get_rng_state())
    else:
        generator.manual_seed(seed)
    return generator


def seed_of(state: Tensor) -> int:
    """A seed that follows from a generator's state, which stays as it is."""
    return int.from_bytes(hashlib.sha256(state.numpy().tobytes()).digest()[:7], "little")


@contextmanager
def process_generators(seed: int | None) -> Iterator[None]:
    """The process's generators, seeded and for this training alone; afterwards they are as they were found."""
    import random

    import numpy as np
    import torch

    from hasn.backends.snntorch.training.checkpoint import random_states, set_random_states

    with _process:
        before = random_states()
        if seed is not None:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
        try:
            yield
        finally:
            set_random_states(before)
