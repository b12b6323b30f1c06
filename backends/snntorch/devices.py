"""Torch devices, and whether a float32 product there is one."""

from __future__ import annotations

from typing import Any

import torch

from hasn.errors import OptionError


def usable_device(device: Any) -> torch.device:
    """The torch device, if values can be brought there and back.

    Raises:
        OptionError: no such device here, or one without float64.
    """
    try:
        made = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=made).cpu()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise OptionError(
            f"torch cannot use this device: {str(error).splitlines()[0]}",
            parameter="device",
            got=repr(device),
            wanted="cpu" + (", cuda" if torch.cuda.is_available() else ""),
        ) from None
    return made


def float32_is_exact() -> bool:
    """Whether matrix products in float32 keep all 24 bits: not where TF32 or bfloat16 are allowed in their place."""
    every: Any = torch.backends
    places = (every, every.cuda.matmul, getattr(every.mkldnn, "matmul", None))
    settings = [getattr(place, "fp32_precision", None) for place in places]
    if None in settings:  # torch before 2.9
        return bool(torch.get_float32_matmul_precision() == "highest")
    return all(setting in ("none", "ieee") for setting in settings)
