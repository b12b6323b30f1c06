"""Started by path: loads this folder as a package under a name of its own and serves requests."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "hasn_lava_worker"


def main() -> None:
    """Serve until the caller says quit, or is gone."""
    here = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(NAME, here / "__init__.py", submodule_search_locations=[str(here)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {here}")
    # The script's own folder would shadow modules of Lava's dependencies.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    importlib.import_module(f"{NAME}.serve").serve(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
