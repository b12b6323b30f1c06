"""What a conversion says when NIR has no words for a thing."""

from __future__ import annotations

from hasn.errors import UnsupportedError


def refusal(
    path: str, parameter: str | None, message: str, *, got: object = None, wanted: str | None = None, way_out: str = ""
) -> UnsupportedError:
    """An error that names the module by its path, as ``named_modules`` has it."""
    return UnsupportedError(
        message, node=path or "(the module)", parameter=parameter, got=got, wanted=wanted, way_out=way_out or None
    )
