"""Logging: no step waits for it, what it drops is counted, what it cannot do is said."""

from __future__ import annotations

import io
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

import hasn
from hasn.backends.snntorch.training import ProgressBar, Step
from hasn.backends.snntorch.training import board as boards
from hasn.backends.snntorch.training.board import Board
from hasn.errors import BackendUnavailable
from tests.unit.backends.snntorch.training.task import net, readout, samples


class Writer:
    """Keeps what it is given; waits at ``gate`` first."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, int]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.gate.wait(20)
        self.threads.add(threading.get_ident())
        self.seen.append((tag, value, step))


def test_every_figure_is_written_in_another_thread() -> None:
    writer = Writer()
    result = hasn.train(net(), samples(16), epochs=2, batch_size=8, log=writer, validation=samples(8))
    losses = [(value, step) for tag, value, step in writer.seen if tag == "loss"]
    assert losses == list(zip(result.losses, (1, 2, 3, 4), strict=True))
    assert {tag for tag, _, _ in writer.seen} == {
        "loss", "accuracy", "learning rate", "rate/hidden", "rate/last", "validation/loss", "validation/accuracy",
    }  # fmt: skip
    validated = [value for tag, value, _ in writer.seen if tag == "validation/loss"]
    assert validated == [epoch.validation_loss for epoch in result.history]
    assert threading.get_ident() not in writer.threads
    assert result.dropped == 0


def test_a_writer_that_stands_still_holds_up_nothing() -> None:
    """Training ends while the writer has not taken a thing; 2 entries may wait, 1 is under way, the others are lost."""
    writer = Writer()
    writer.gate.clear()

    def let_go(step: Step) -> None:
        if step.step == 8:  # the last one
            assert not writer.seen
            threading.Timer(0.2, writer.gate.set).start()

    result = hasn.train(
        net(last=readout(3)), samples(64), loss="membrane", epochs=1, batch_size=8, log=writer, log_queue=2,
        progress=let_go,
    )  # fmt: skip
    assert result.steps == 8
    assert len(writer.seen) + result.dropped == 8 * 4  # loss, accuracy, learning rate, one population
    assert result.dropped >= 5 * 4


def test_a_writer_that_hangs_is_left_behind(recwarn: pytest.WarningsRecorder) -> None:
    writer = Writer()
    writer.gate.clear()
    board = Board(writer, size=10)
    for step in range(5):
        board.add(step, {"loss": 1.0, "accuracy": None})
    start = time.perf_counter()
    assert board.close(patience=0.3) == 5
    assert time.perf_counter() - start < 5
    assert "left behind" in str(recwarn.pop(RuntimeWarning).message)
    writer.gate.set()


def test_a_writer_that_fails_ends_no_training(recwarn: pytest.WarningsRecorder) -> None:
    class Broken:
        def add_scalar(self, tag: str, value: float, step: int) -> None:
            if step > 1:
                raise OSError("no space left")

    result = hasn.train(net(), samples(16), epochs=1, batch_size=8, log=Broken())
    assert result.steps == 2
    assert result.dropped == 5
    assert "no space left" in str(recwarn.pop(RuntimeWarning).message)


def test_without_tensorboard_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boards, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"tensorboard is not installed. pip install 'hasn\[train\]'"):
        hasn.train(net(), samples(8), epochs=1, log=tmp_path)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed: pip install 'hasn[train]'")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = hasn.train(net(), samples(16), epochs=2, batch_size=8, log=tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(result.losses, rel=1e-6)


def test_the_bar_shows_loss_accuracy_and_rate() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with ProgressBar(console) as bar:
        result = hasn.train(net(), samples(16), epochs=2, batch_size=8, progress=bar)
    shown = text.getvalue()
    assert "Epoch 2 of 2" in shown
    assert "4/4" in shown
    assert f"loss {result.losses[-1]:.4f}" in shown
    assert "accuracy" in shown
    assert "spikes a neuron and step" in shown
