"""The folders are parts of hasn under that name alone."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import hasn.conversions
import hasn.models


@pytest.mark.parametrize("package", [hasn.conversions, hasn.models], ids=lambda package: str(package.__name__))
def test_another_name_is_refused(package: object) -> None:
    name = str(package.__name__)  # type: ignore[attr-defined]
    file = Path(str(package.__file__)).resolve()  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=f"import {name}, not {name.removeprefix('hasn.')}: this folder"):
        runpy.run_path(str(file), run_name=name.removeprefix("hasn."))
    runpy.run_path(str(file), run_name=name)
