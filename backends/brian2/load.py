"""The one place that imports Brian2."""

from __future__ import annotations

import sys
import warnings

_hook = sys.excepthook
with warnings.catch_warnings():
    # Brian2 calls deprecated names of its own libraries.
    warnings.simplefilter("ignore", DeprecationWarning)
    import brian2

# Brian2 installs a hook that calls every uncaught error of any kind a bug of Brian2 and leaves its log files behind.
sys.excepthook = _hook

__all__ = ["brian2"]
