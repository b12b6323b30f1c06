"""Run by torchrun, one process a stage: ``pipeline_worker.py FOLDER CHECK ...`` writes what each check found there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hasn.training
from hasn.errors import HasnError
from tests.unit.backends.snntorch.training.pipeline_nets import CASES, OF_THREE, batches, net, weights


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A training by the pipeline: (figures, arrays)."""
    make, common, own = {**CASES, **OF_THREE}[name]
    with hasn.training.pipelined(make(), **common, **own) as pipe:
        # Only the first process's data count.
        losses = [pipe.step(*(batch if pipe.rank == 0 else (None, None))) for batch in batches()]
        judged = pipe.evaluate(*batches()[2])
        graph = pipe.to_graph()
        sizes = [len(stage.names) for stage in pipe.stages]
    facts = {"losses": losses, "judged": judged, "sizes": sizes, "dt": graph.metadata["dt"]}
    facts["resets"] = {name: node.metadata.get("reset") for name, node in graph.nodes.items()}
    return facts, weights(graph)


def said(call: Any) -> list[Any]:
    """[kind of error, its text, seconds]."""
    start = time.perf_counter()
    try:
        call()
    except HasnError as error:
        return [type(error).__name__, str(error), time.perf_counter() - start]
    return ["", "", time.perf_counter() - start]


class Faulty:
    """A loss function that fails when it is told to."""

    broken = False

    def __call__(self, outputs: Any, labels: Any) -> Any:
        if self.broken:
            raise ValueError("the loss function fails")
        return torch.nn.functional.cross_entropy(outputs.sum(0), labels.long())


def errors(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes wrong in a step ends it in every process, changes nothing, and training goes on."""
    inputs, labels = batches()[0]
    loss, found = Faulty(), {}
    with hasn.training.pipelined(net(), loss=loss, optimizer="sgd", learning_rate=0.1) as pipe:
        first = pipe.step(inputs, labels)
        before = weights(pipe.to_graph())
        found["shape"] = said(lambda: pipe.step(inputs[..., :3], labels))
        found["labels"] = said(lambda: pipe.step(inputs, labels[:2]))
        found["none"] = said(lambda: pipe.step(None, labels))
        loss.broken = True
        found["loss"] = said(lambda: pipe.step(inputs, labels))
        found["evaluated"] = said(lambda: pipe.evaluate(inputs, labels))
        loss.broken = False
        for stage in (0, 1):
            hook = fail_in(pipe, stage)
            found[f"stage {stage}"] = said(lambda: pipe.step(inputs, labels))
            found[f"stage {stage} evaluated"] = said(lambda: pipe.evaluate(inputs, labels))
            hook()
        found["infinite"] = said(lambda: pipe.step(inputs * np.inf, labels))
        after = weights(pipe.to_graph())
        second = pipe.step(inputs, labels)
    found["closed"] = said(lambda: pipe.step(inputs, labels))
    same = all(np.array_equal(before[key], after[key]) for key in before)
    return {"errors": found, "same": same, "losses": [first, second]}, {}


def fail_in(pipe: Any, stage: int) -> Any:
    """Let this process's stage fail if it is the one; the answer undoes it."""
    if pipe.rank != stage:
        return lambda: None

    def fail(*given: Any) -> None:
        raise MemoryError("out of memory here")

    return pipe._part.module.register_forward_pre_hook(fail).remove


def options(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calls that are refused, and what can be wrong with processes."""
    calls: dict[str, dict[str, Any]] = {
        "more stages": {"stages": 3},
        "too many": {"stages": 30},
        "few": {"micro_batches": 1},
        "loss": {"loss": "membrane"},
        "learn": {"learn": "weights"},
        "optimizer": {"optimizer": "lbfgs"},
        "optimizer's kind": {"optimizer": lambda groups: 3},
        "other": {"width": 3},
        "graphs": {"dt": 1e-3 if int(os.environ["RANK"]) else 5e-4},
    }
    found = {key: said(lambda more=more: hasn.training.pipelined(net(), **more)) for key, more in calls.items()}
    return {"errors": found}, {}


def death(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last process is killed in the middle of a step. torchrun then ends the first one, which waits to be told."""
    inputs, labels = batches()[0]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def die(outputs: Any, labels: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    pipe = hasn.training.pipelined(net(), loss=die)
    return {"errors": {"death": said(lambda: pipe.step(inputs, labels))}}, {}


CHECKS = {"errors": errors, "options": options, "death": death, **dict.fromkeys([*CASES, *OF_THREE], case)}


def run(folder: Path, names: Iterable[str]) -> None:
    """Run the checks that are named."""
    for name in names:
        facts, arrays = CHECKS[name](name)
        at = folder / f"{name} {os.environ['RANK']}"
        at.with_suffix(".json").write_text(json.dumps(facts))
        np.savez(at.with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), sys.argv[2:])
