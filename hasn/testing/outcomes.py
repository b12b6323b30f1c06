"""What came of each conformance test, written as JSON at the end of a session."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pytest

#: Name of the user property that says what a test judges: [runner, precision, kind, case].
JUDGES = "hasn-judges"

Key: TypeAlias = tuple[str, str, str, str]


@dataclass
class Outcomes:
    """Collects reports; a test that fails in any phase has failed."""

    path: str
    found: dict[Key, tuple[str, str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down the outcome of a phase of a test, with the reason if it is skipped or expected to fail."""
        judged: Any = next((value for name, value in report.user_properties if name == JUDGES), None)
        if judged is None:
            return
        outcome, reason = _outcome(report)
        name: Key = tuple(judged)
        if outcome != "passed" or (report.when == "call" and name not in self.found):
            self.found[name] = outcome, reason

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        rows = [[*key, *outcome] for key, outcome in sorted(self.found.items())]
        target = Path(self.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(rows, indent=0), encoding="utf8")


def _outcome(report: pytest.TestReport) -> tuple[str, str]:
    expected: Any = getattr(report, "wasxfail", None)
    if report.skipped and expected is not None:
        return "xfailed", str(expected).removeprefix("reason: ")
    if report.skipped:
        return "skipped", str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    return report.outcome, ""
