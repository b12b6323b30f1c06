"""Two workers under torchrun train as one process does; what fails in one fails in both, at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training.process_group import Group
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import OptionError
from hasn.ir.load import load
from tests.unit.backends.snntorch.training.calls import BASE, EQUAL, UNEVEN, coded, overflowing, recurrent, sgd
from tests.unit.backends.snntorch.training.conftest import PATIENCE, ROOT, Answer
from tests.unit.backends.snntorch.training.jobs import FAILING, told
from tests.unit.backends.snntorch.training.task import net, samples, weights


def arrays(told_: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in told_["weights"].items()}


def largest(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Largest difference of two sets of arrays over the largest element of the array it is in."""
    return max(float(np.abs(a[name] - b[name]).max() / np.abs(b[name]).max()) for name in b)


def flat(epoch: dict[str, Any]) -> dict[str, Any]:
    """An epoch's figures but for what depends on the machine."""
    left_out = ("seconds", "batch", "rates")
    figures = {name: value for name, value in epoch.items() if name not in left_out and value is not None}
    return figures | epoch["rates"]


def check_equal(both: list[dict[str, Any]], one: dict[str, Any], tolerance: float) -> None:
    """Workers equal each other to the last bit, and one process to rounding."""
    first, second = both
    assert first == second
    assert largest(arrays(first), arrays(one)) < tolerance
    assert first["losses"] == pytest.approx(one["losses"], rel=tolerance)
    for mine, its in zip(first["history"], one["history"], strict=True):
        assert flat(mine) == pytest.approx(flat(its), rel=tolerance)
    assert (first["stopped"], first["steps"]) == (one["stopped"], one["steps"])


@pytest.mark.parametrize("name", EQUAL)
def test_two_workers_are_one_process(name: str, answer: Answer) -> None:
    """To 1e-5 of the largest parameter in float32, and 1e-12 in float64: sums of 22 samples in another order. The
    parameters move by more than 1e-2 of it."""
    one = told(hasn.train(recurrent(), **EQUAL[name]))
    tolerance = 1e-12 if name == "float64" else 1e-5
    check_equal(answer(name), one, tolerance)
    assert largest(arrays(one), weights(recurrent())) > 1e-2


def test_a_process_group_of_the_callers_is_used_and_kept(answer: Answer) -> None:
    given, own = answer("given group"), answer("float64")
    assert [one.pop("there") for one in given] == [True, True]
    assert [one["weights"] for one in given] == [one["weights"] for one in own]
    assert [one["there"] for one in answer("own group")] == [False, False]


def test_another_number_of_workers_goes_on(answer: Answer, launched: Path, tmp_path: Path) -> None:
    """Two after one, with gradients that wait in the checkpoint, and one after two."""
    one = told(hasn.train(recurrent(), **{**EQUAL["threshold"], "epochs": 3}))
    check_equal(answer("goes on"), one, 1e-5)
    path = tmp_path / "two.pt"
    path.write_bytes((launched / "two.pt").read_bytes())
    call = {**BASE, **UNEVEN, "epochs": 3}
    resumed, whole = hasn.train(recurrent(), **call, checkpoint=path, resume=True), hasn.train(recurrent(), **call)
    assert len(resumed.losses) == len(whole.losses) == 12
    assert largest(weights(resumed.graph), weights(whole.graph)) < 1e-5


def test_without_a_seed_worker_0_decides(answer: Answer) -> None:
    first, second = answer("as they stand")
    assert first == second
    torch.manual_seed(0)
    check_equal([first, second], told(hasn.train(net(), coded, epochs=2, seed=None)), 1e-5)


def test_little_room_in_one_worker(answer: Answer) -> None:
    """Of 16 samples each gets 8; worker 0 has room for 3: 8 and 4 fail, then 2 run at once, from the second update on
    in worker 1 as well. Validation: 10 samples, 5 each."""
    first, second = answer("little room")
    assert first.pop("asked") == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]
    assert second.pop("asked") == [8, 2, 2, 2, 2, 2, 2, 1]
    assert first["history"][0]["batch"] == 8
    one = hasn.train(net(), samples(32), epochs=1, batch_size=16, optimizer=sgd, validation=samples(10))
    check_equal([first, second], told(one), 1e-5)


def test_an_overflow_in_one_worker_leaves_out_the_update_in_both(answer: Answer) -> None:
    """To 1e-3: half precision rounds each worker's gradient by up to 2**-11, or 5e-4."""
    one = hasn.train(net(), **overflowing(lambda: True))
    both = answer("overflow")
    assert both[0] == both[1]
    # in the first update the half that did not overflow has another loss than the whole
    assert both[0]["losses"][1:] == pytest.approx(one.losses[1:], rel=1e-3)
    assert largest(arrays(both[0]), weights(one.graph)) < 1e-3
    assert largest(weights(one.graph), weights(net())) > 1e-2


def test_worker_0_alone_tells(answer: Answer) -> None:
    first, second = answer("who tells")
    assert first["steps"] == [1, 2, 3]
    assert first["logged"] == 3 * 5  # loss, accuracy, learning rate, two rates
    assert (second["steps"], second["logged"]) == ([], 0)


#: job -> what workers 0 and 1 raise: the class, and words of its text.
ERRORS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "NaN": (("InputError", "the data have a value that is not finite; got nan at sample 23, step 4"),)
    * 2,  # both have all of the data, and look before they share it
    "label": (("InputError", "data labels: no such class"), ("InputError", "data labels: no such class")),
    "data": (
        ("ValueError", "the disk is gone"),
        ("TrainingError", "worker 0 of 2 failed: ValueError: the disk is gone"),
    ),
    "data at once": (
        ("InputError", "data: worker 1 of 2 failed: there is not one sample"),
        ("InputError", "data: there is not one sample"),
    ),
    "callback": (
        ("ZeroDivisionError", "the callback is wrong"),
        ("TrainingError", "worker 0 of 2 failed: ZeroDivisionError: the callback is wrong"),
    ),
    "graph": (("OptionError", "graph's parameters: the workers were called with different values"),) * 2,
    "option": (
        ("OptionError", "batch_size: the workers were called with different values; got 9 in worker 1; wanted 8"),
    )
    * 2,
    "device": (("OptionError", "device: torch cannot use this device"),) * 2,
    "option in one": (
        ("OptionError", "batch_size: no such number; got 0"),
        ("OptionError", "batch_size: worker 0 of 2 failed: no such number; got 0"),
    ),
    "other labels": (("InputError", "data: the workers have different data at step 1; got other labels in"),) * 2,
    "fewer samples": (("InputError", "data: the workers have different data at step 1; got"),) * 2,
    "validation": (("InputError", "validation: the workers have different data"),) * 2,
    "drift": (("TrainingError", "workers: the workers' parameters differ after epoch 0"),) * 2,
}


def test_every_failing_job_is_looked_at() -> None:
    assert set(ERRORS) == set(FAILING)


@pytest.mark.parametrize("name", ERRORS)
def test_what_one_worker_raises_is_raised_in_both(name: str, answer: Answer) -> None:
    for got, (kind, words) in zip(answer(f"failing {name}"), ERRORS[name], strict=True):
        assert got["error"] == kind, got
        assert words in got["text"]


def test_killed_in_mid_epoch_torchrun_restarts_to_the_same_result(answer: Answer) -> None:
    """Worker 1 is killed by kill -9 in update 5 of 9; both start again after update 4, and end with the same bits."""
    first, second = answer("killed")
    assert first.pop("seen") == [5, 6, 7, 8, 9]
    second.pop("seen")
    whole = answer("undisturbed")[0]
    for result in (first, second, whole):
        for epoch in result["history"]:
            epoch["seconds"] = 0
    assert first == second == whole
    assert len(whole["losses"]) == 9


def test_a_worker_that_is_gone_is_told_at_once(answer: Answer, launched: Path) -> None:
    """What worker 0 raised when worker 1 was killed."""
    got = json.loads((launched / "gone.0.json").read_text())
    assert got["seen"] == [1, 2, 3, 4]
    assert got["error"] == "TrainingError"
    assert "worker 0: the workers have lost each other" in got["text"]


def test_the_command_line_trains_with_two_workers(answer: Answer, launched: Path) -> None:
    """Worker 0 alone prints and writes; a mistake is JSON there, and a line on stderr in the other."""
    first, second = answer("command line")
    assert (first["trains"]["code"], second["trains"]["code"]) == (0, 0)
    assert (second["trains"]["out"], second["trains"]["err"]) == ("", "")
    history = json.loads(first["trains"]["out"])["history"]
    one = hasn.train(load(launched / "net.nir"), samples(24), epochs=2, batch_size=8)
    assert [epoch["loss"] for epoch in history] == pytest.approx([epoch.loss for epoch in one.history], rel=1e-5)
    assert largest(weights(load(launched / "trains.nir")), weights(one.graph)) < 1e-5
    assert (first["fails"]["code"], second["fails"]["code"]) == (1, 1)
    assert "the graph has no delay" in json.loads(first["fails"]["out"])["error"]["message"]
    assert second["fails"]["out"] == ""
    assert "the graph has no delay" in second["fails"]["err"]


def test_the_command_line_is_a_module_that_torchrun_starts() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "hasn.cli", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert run.stdout.startswith("hasn ")


def test_every_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What LOCAL_RANK makes of a device; there need be no GPU for it."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    workers = Group.__new__(Group)
    for local, device, expected in ((1, "cuda", "cuda:1"), (1, "cuda:0", "cuda:0"), (0, "cpu", "cpu")):
        monkeypatch.setenv("LOCAL_RANK", str(local))
        workers.rank = local
        assert workers.placed(device) == expected
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(OptionError, match="device: every worker needs a GPU of its own; got 2 GPUs; wanted at least 3"):
        workers.placed("cuda")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_shares_make_the_whole(count: int, size: int) -> None:
    """Every sample once, in order, and no worker two more than another."""
    shares = []
    for rank in range(count):
        workers = Workers()
        workers.rank, workers.count = rank, count
        shares.append(list(range(size))[workers.share(size)])
    assert [place for share in shares for place in share] == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
