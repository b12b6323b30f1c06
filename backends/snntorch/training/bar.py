"""A progress bar with loss, accuracy and firing rate: a callback for ``hasn.train(progress=...)``."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from hasn.backends.snntorch.training.result import Step


class ProgressBar:
    """``with ProgressBar() as bar: hasn.train(..., progress=bar)``; writes to stderr.

    Args:
        console: a rich Console; default: one on stderr.
    """

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        shown = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=shown,
            disable=not shown.is_terminal,  # a log takes no bar
        )
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        if self._task is None:
            self._task = self._bar.add_task("", total=None, figures="")
        total = None if step.batches is None else step.batches * step.epochs
        done = step.batch if total is None else (step.batches or 0) * step.epoch + step.batch
        title = f"Epoch {step.epoch + 1} of {step.epochs}"
        self._bar.update(self._task, description=title, total=total, completed=done, figures=figures(step))


def figures(step: Step) -> str:
    """Loss, accuracy and firing rate as text."""
    parts = [f"loss {step.loss:.4f}"]
    if step.accuracy is not None:
        parts.append(f"accuracy {step.accuracy:.1%}")
    if step.rate is not None:
        parts.append(f"{step.rate:.3f} spikes a neuron and step")
    return ", ".join(parts)
