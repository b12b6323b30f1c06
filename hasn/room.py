"""How much memory there is, and the error when something needs more."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hasn.errors import OutOfMemoryError

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def free_bytes() -> int:
    """Bytes that this process may still take: what the machine has, its group's limit and ``ulimit -v`` allow."""
    found = [_machine(), *map(_group, *zip(*_CGROUPS, strict=True)), _limited()]
    return max(0, min(number for number in found if number is not None))


def _machine() -> int:
    """Memory that is free or can be freed; all there is where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group(most: str, used: str) -> int | None:
    """What the limit of a control group (a container's) leaves; what it merely caches can be freed."""
    try:
        limit, taken = Path(most).read_text(encoding="ascii").strip(), int(Path(used).read_text(encoding="ascii"))
        stat = Path(most).with_name("memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    cached = sum(int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file "))
    return int(limit) - taken + cached if limit.isdigit() else None


def _limited() -> int | None:
    """What ``ulimit -v`` leaves."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        pages = 0
    return limit - pages * resource.getpagesize()


def text_of(number: float) -> str:
    """A number of bytes for people: 8 GB."""
    number = float(number)
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            return f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def require(number: float, what: str, *, node: str | None = None, way_out: str, parameter: str | None = None) -> None:
    """Refuse what needs more memory than there is, before it is asked for.

    Args:
        number: bytes.
        what: needs them.
        node, parameter, way_out: see :class:`hasn.errors.HasnError`.

    Raises:
        OutOfMemoryError: there is less.
    """
    free = free_bytes() if number > _UNASKED else number
    if number > free:
        raise OutOfMemoryError(
            f"{what} takes more memory than there is",
            node=node,
            parameter=parameter,
            got=text_of(number),
            wanted=f"at most {text_of(free)}, which is free here",
            way_out=way_out,
        )


#: Bytes for which nobody looks how much there is.
_UNASKED = 1 << 27

#: How torch's allocators say that memory does not suffice, where they raise a plain RuntimeError.
SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")
_SAID = (
    (re.compile(r"allocate ([\d.]+) ([KMGTPE]i?B|bytes|B)\b"), None),
    (re.compile(r"tried to allocate (\d+) bytes"), "bytes"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory did not suffice, whoever raised it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)


def asked_for(error: BaseException) -> str | None:
    """How many bytes an error says were asked for, as people read it."""
    for pattern, unit in _SAID:
        found = pattern.search(str(error))
        if found:
            power = ["B", "K", "M", "G", "T", "P", "E"].index((unit or found[2])[0].upper())
            return text_of(float(found[1]) * (1024.0 if "i" in (unit or found[2]) else 1000.0) ** power)
    return None


@contextmanager
def in_memory(what: str, way_out: str, node: str | None = None, parameter: str | None = None) -> Iterator[None]:
    """Say in one line what did not fit, instead of NumPy's or torch's words.

    Args:
        what: is done in the block.
        way_out, node, parameter: see :class:`hasn.errors.HasnError`.

    Raises:
        OutOfMemoryError: memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        got = asked_for(error)
        free = text_of(free_bytes())
    else:
        return
    raise OutOfMemoryError(  # outside of the block: its error holds on to what was made
        f"memory does not suffice to {what}",
        node=node,
        parameter=parameter,
        got=None if got is None else f"{got} more",
        wanted=f"at most {free}, which is free here",
        way_out=way_out,
    )
