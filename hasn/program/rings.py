"""What simulators keep of the past: as many steps of a source as the longest delay behind it."""

from __future__ import annotations

import math

from hasn.errors import UnsupportedError
from hasn.program.fuse import Network

#: Numbers, 0.8 GB in float64.
MOST_KEPT = 10**8


def refuse_long_delays(network: Network) -> None:
    """Refuse delays behind which a ring of values would fill the memory.

    Raises:
        UnsupportedError: there is one; names the target.
    """
    for projection in network.projections:
        size = math.prod(network.by_name[projection.source].shape)
        if projection.delay * size > MOST_KEPT:
            raise UnsupportedError(
                f"a delay behind '{projection.source}' is so long that what it sends meanwhile fills the memory",
                node=projection.target,
                parameter="delay",
                got=f"{projection.delay:,} steps of {size:,} elements",
                wanted=f"at most {MOST_KEPT:,} values",
                way_out="Shorten it, or run on snntorch, which keeps no more steps than there have been.",
            )
