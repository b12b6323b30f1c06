"""Whatever ends a training early leaves the graph that it had, in a result or on the error."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Step, TrainResult
from hasn.errors import TrainingError
from tests.unit.backends.snntorch.training.task import net, samples, weights

CALL: dict[str, Any] = {"batch_size": 8, "learning_rate": 1e-2}


def same(one: Any, other: Any) -> None:
    for key, value in weights(one).items():
        np.testing.assert_array_equal(weights(other)[key], value, err_msg=key)


def raising(error: BaseException, step: int) -> Any:
    def progress(now: Step) -> None:
        if now.step == step:
            raise error

    return progress


def stopping(step: int) -> Any:
    return lambda now: now.step == step


def test_a_callback_stops_by_true() -> None:
    """After 2 epochs of 3 updates and one update more."""
    result = hasn.train(net(), samples(24), epochs=9, **CALL, progress=stopping(7))
    assert (result.stopped, result.steps, len(result.history)) == ("the callback wanted it", 7, 2)
    whole = hasn.train(net(), samples(24), epochs=3, **CALL)
    assert result.losses == whole.losses[:7]
    assert hasn.train(net(), samples(24), epochs=2, **CALL, progress=lambda now: "not True").steps == 6
    said = hasn.train(net(), samples(24), epochs=2, **CALL, progress=lambda now: np.bool_(now.step == 2))
    assert said.steps == 2


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    call: dict[str, Any] = {**CALL, "checkpoint": tmp_path / "at.pt"}
    hasn.train(net(), samples(24), epochs=3, **call, progress=stopping(4))
    again = hasn.train(net(), samples(24), epochs=3, **call, resume=True)
    assert again.losses == hasn.train(net(), samples(24), epochs=3, **CALL).losses


def test_rates_of_0_and_1_are_told_once() -> None:
    """Those of 22 samples in uneven parts of an update, whose sum of means may miss 1 by rounding."""
    graph = net()
    graph.nodes["w1"].bias[:], graph.nodes["w2"].weight[:] = 1e3, 0.0
    with pytest.warns(RuntimeWarning) as said:
        hasn.train(graph, samples(22), epochs=3, batch_size=3, accumulate=8, freeze="w1")
    texts = [str(warning.message) for warning in said if "in epoch" in str(warning.message)]
    assert len(texts) == 1
    assert texts[0].startswith("last never spiked and hidden spiked at every step in epoch 1; hasn.check(")


@pytest.mark.parametrize(
    ("error", "words"),
    [(KeyboardInterrupt(), "stopped by Ctrl-C"), (ZeroDivisionError("a bug"), "stopped by an error: a bug")],
)
def test_what_ends_it_carries_the_result(error: BaseException, words: str) -> None:
    with pytest.raises(type(error)) as caught:
        hasn.train(net(), samples(24), epochs=9, **CALL, progress=raising(error, 7))
    result: TrainResult = caught.value.result  # type: ignore[attr-defined]
    wanted = hasn.train(net(), samples(24), epochs=9, **CALL, progress=stopping(7))
    assert (result.stopped, result.steps, result.losses) == (words, 7, wanted.losses)
    same(result.graph, wanted.graph)


def test_data_that_fail_and_the_best_epoch() -> None:
    """With keep_best the best epoch's graph, though later ones were trained."""
    held_out = samples(24, 5)

    def data(epoch: int) -> Any:
        if epoch == 3:
            raise OSError("the disk is gone")
        return samples(16)

    call: dict[str, Any] = {"batch_size": 16, "learning_rate": 3.0, "validation": held_out, "keep_best": True}
    with pytest.raises(OSError, match="the disk is gone") as caught:
        hasn.train(net(), data, epochs=9, **call)
    result: TrainResult = caught.value.result  # type: ignore[attr-defined]
    assert len(result.history) == 3
    best = min(range(3), key=lambda i: result.history[i].validation_loss or 0.0)
    wanted = hasn.train(net(), samples(16), epochs=best + 1, **{**call, "keep_best": False})
    same(result.graph, wanted.graph)


def test_a_loss_that_is_no_number_gives_back_the_last_epoch() -> None:
    calls = [0]

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return torch.nn.functional.cross_entropy(outputs.sum(0), labels) * (float("nan") if calls[0] == 8 else 1.0)

    with pytest.raises(TrainingError, match="the loss is not finite at step 8") as caught:
        hasn.train(net(), samples(24), epochs=9, **CALL, loss=loss)
    result: TrainResult = caught.value.result  # type: ignore[attr-defined]
    assert (len(result.history), result.steps) == (2, 7)
    assert result.stopped.startswith("stopped by an error: loss: the loss is not finite at step 8")
    calls[0] = 100
    same(result.graph, hasn.train(net(), samples(24), epochs=2, **CALL, loss=loss).graph)
    assert pickle.loads(pickle.dumps(caught.value)).result.steps == 7


def test_an_error_before_training_has_no_result() -> None:
    with pytest.raises(hasn.HasnError) as caught:
        hasn.train(net(), samples(24), epochs=9, clip=-1.0)
    assert not hasattr(caught.value, "result")


def test_an_error_says_where_the_checkpoint_is(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    with pytest.raises(ZeroDivisionError) as caught:
        hasn.train(net(), samples(24), epochs=9, **CALL, checkpoint=path, progress=raising(ZeroDivisionError(), 7))
    assert caught.value.__notes__ == [f"Kept: {path}, after 6 updates of 7. Go on with the same call with resume=True."]


def test_a_checkpoint_that_is_loaded_as_a_graph_is_told_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    hasn.train(net(), samples(8), epochs=1, checkpoint=path)
    with pytest.raises(hasn.errors.FileError, match="a checkpoint of a training, and not a graph") as caught:
        hasn.load(path)
    assert f"hasn.training.graph_of('{path}') is its graph" in str(caught.value)
    assert f"hasn train --from {path} --out FILE" in str(caught.value)
    torch.save({"weight": torch.ones(3)}, path)
    with pytest.raises(hasn.errors.FileError, match=r"a file of torch.save, and not a graph"):
        hasn.load(path)
