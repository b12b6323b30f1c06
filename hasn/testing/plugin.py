"""pytest's plug-in: ``--backend`` where hasn.testing is run, and a record of what passed where one is asked for.

pytest loads this in every session of an environment that has hasn, so it imports nothing but the standard library and
does nothing unless the command line names hasn.testing, or ``HASN_SUPPORT`` names a file to write.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: The environment variable that names the file of outcomes.
RECORD = "HASN_SUPPORT"


def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Define ``--backend`` before the command line is parsed in full, but only for runs of this suite."""
    if any("hasn.testing" in arg.replace(os.sep, ".") for arg in args):
        parser.getgroup("hasn").addoption(
            "--backend",
            action="append",
            dest="hasn_backends",
            metavar="NAME",
            help="judge this backend only (again for several); default: all that are installed",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown backend; record outcomes in the controlling process, which sees those of all xdist workers."""
    given: list[str] | None = config.getoption("hasn_backends", None)
    if given:
        _require(given)
    config.addinivalue_line("markers", "lava: needs Lava's own Python 3.10 environment")
    path = os.environ.get(RECORD)
    if path and not hasattr(config, "workerinput"):
        from hasn.testing.outcomes import Outcomes

        config.pluginmanager.register(Outcomes(path), "hasn-outcomes")


def _require(backends: list[str]) -> None:
    import pytest

    from hasn.errors import OptionError
    from hasn.testing.runners import precisions

    try:
        for name in backends:
            precisions(name)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None
