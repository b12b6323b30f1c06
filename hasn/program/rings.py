"""What simulators keep of the past: as many steps of a source as the longest delay behind it."""

from __future__ import annotations

import math
from dataclasses import replace

from hasn.program.fuse import Network
from hasn.program.past import NO_STATE
from hasn.room import require


def longest(network: Network) -> int:
    """Steps of the longest delay, of projections and of constants."""
    drives = (onset for drive in network.drives.values() for onset in drive)
    return max([0, *(projection.delay for projection in network.projections), *drives])


def within(network: Network, steps: int) -> Network:
    """The network for runs of so many steps from the initial state: what would arrive later is left out."""
    drives = {
        name: {onset: value for onset, value in drive.items() if onset < steps}
        for name, drive in network.drives.items()
    }
    return replace(
        network,
        projections=tuple(projection for projection in network.projections if projection.delay < steps),
        drives={name: drive for name, drive in drives.items() if drive},
    )


def require_rings(network: Network, samples: int, each: int) -> None:
    """Refuse delays behind which rings of values would take more memory than there is.

    Args:
        network: whose delays.
        samples: side by side.
        each: bytes of a value.

    Raises:
        OutOfMemoryError: names the target of the longest.
    """
    kept: dict[str, tuple[int, str]] = {}
    for projection in network.projections:
        kept[projection.source] = max(kept.get(projection.source, (0, "")), (projection.delay, projection.target))
    sizes = {name: steps * math.prod(network.by_name[name].shape) for name, (steps, _) in kept.items()}
    if sizes:
        largest = max(sizes, key=lambda name: sizes[name])
        steps, target = kept[largest]
        what = f"a delay of {steps:,} steps behind '{largest}'"
        require(samples * each * sum(sizes.values()), what, node=target, parameter="delay", way_out=NO_STATE)
