"""Triton's kernels, also where there is no GPU."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

NAME = "hasn.backends.snntorch.triton_kernels"


@cache
def interpreted() -> Any:
    """A copy of the module whose functions Triton interprets: it looks at the switch when it wraps them."""
    found = importlib.util.find_spec(NAME)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        found.loader.exec_module(module)
    return module


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The kernels on the GPU, else in Triton's interpreter; everything that looks for them finds these."""
    import torch

    from hasn.backends.snntorch import kernel_calls, triton_trial

    if not torch.cuda.is_available():
        monkeypatch.setitem(sys.modules, NAME, interpreted())
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # the functions of rows are wrapped when they are made
        monkeypatch.setattr(kernel_calls, "_GPU", "cpu")
    monkeypatch.delenv("HASN_KERNELS", raising=False)
    yield importlib.import_module(NAME)
    triton_trial._passed.cache_clear()
