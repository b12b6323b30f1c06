"""Memory of a training step of 784-1000-1000-10, batch 128, 25 steps: MiB above what is there before it.

Each in a fresh process (:mod:`benchmarks.speed.peak` says what is counted), in turns. hasn also with ``recompute=K``,
which keeps the states at every K-th step only and computes the others again on the way back; what that costs in time is
measured here too, in turns in one process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.network import dense, spikes
from benchmarks.peers import hasn
from benchmarks.results import HASN, JELLY, LOOP, Result, Target
from benchmarks.speed.peak import CLEAR
from benchmarks.speed.training import TOOLS, Field, work
from benchmarks.timing import Settings, interleaved
from hasn.errors import HasnError

SIZES, BATCH, STEPS, RATE = (784, 1000, 1000, 10), 128, 25, 0.2
#: --quick: still large enough that a step needs megabytes.
FEW_SIZES, FEW_BATCH, FEW_STEPS = (100, 256, 128, 10), 64, 25
#: Steps of a chunk. Three chunks: the last is not computed again, so two thirds of the forward pass are.
EVERY = 9
HASN_LESS = f"hasn, recompute={EVERY}"
#: Fresh processes of each: peaks repeat within a few per cent.
TURNS = 3
TARGETS = (Target(HASN, LOOP, "at most", 1.0), Target(HASN_LESS, LOOP, "at most", 0.5), Target(HASN, JELLY, "at most"))
TIME = Target(HASN_LESS, HASN, "at most", 1.4, what="time")
ROOT = Path(__file__).parents[2]


def run(settings: Settings) -> Result:
    """Measure it."""
    sizes, batch, steps = (FEW_SIZES, FEW_BATCH, FEW_STEPS) if settings.quick else (SIZES, BATCH, STEPS)
    setting = {"sizes": sizes, "batch": batch, "steps": steps, "rate": RATE, "recompute": EVERY}
    title = f"Peak memory of a training step, {'-'.join(map(str, sizes))}, batch {batch}, T = {steps}"
    result = Result("memory", title, "MiB", setting)
    if not CLEAR.exists():
        result.missing[HASN] = f"no {CLEAR} on this system"
        return result
    jobs = _jobs(settings, result)
    common = {"sizes": sizes, "batch": batch, "steps": steps, "rate": RATE, "threads": torch.get_num_threads()}
    spikes_of: dict[str, str] = {}
    turns = 1 if settings.quick else min(TURNS, settings.pairs)
    for turn in range(turns):
        for name, job in list(jobs.items()):
            settings.bar(turn, turns, name)
            found = _child({**common, **job})
            if "error" in found:
                _failed(name, found["error"], jobs, result)
                continue
            result.rows.setdefault(name, []).append(found["bytes"] / 2**20)
            spikes_of[name] = found["spikes"]
    result.hold_against(TARGETS)
    _compared_and_timed(result, spikes_of, settings)
    return result


def _jobs(settings: Settings, result: Result) -> dict[str, dict[str, Any]]:
    """{row: tool and options of its process}."""
    jobs: dict[str, dict[str, Any]] = {LOOP: {"tool": "snntorch", "options": {}}}
    tool = TOOLS[JELLY][0]
    if tool in settings.tools:
        jobs[JELLY] = {"tool": tool, "options": {}}
    else:
        result.missing[JELLY] = settings.missing[tool]
    jobs[HASN] = {"tool": "hasn", "options": {}}
    try:
        hasn.compiled(dense((2, 2)), recompute=EVERY)
    except HasnError as error:
        result.missing[HASN_LESS] = str(error)
    else:
        jobs[HASN_LESS] = {"tool": "hasn", "options": {"recompute": EVERY}}
    return jobs


def _child(job: dict[str, Any]) -> dict[str, Any]:
    """What :mod:`benchmarks.speed.peak` found, or {"error": its last line}."""
    command = [sys.executable, "-m", "benchmarks.speed.peak", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _failed(name: str, reason: str, jobs: dict[str, dict[str, Any]], result: Result) -> None:
    """Another tool that fails is left out; snnTorch and hasn must not fail.

    Raises:
        RuntimeError: one of these two did.
    """
    if name != JELLY:
        raise RuntimeError(f"memory, {name}: {reason}")
    del jobs[name]
    result.rows.pop(name, None)
    result.missing[name] = reason


def _compared_and_timed(result: Result, spikes_of: dict[str, str], settings: Settings) -> None:
    """What the rows compute, here and in their processes; what recomputing costs in time."""
    sizes, batch, steps = (result.setting[key] for key in ("sizes", "batch", "steps"))
    spec = dense(sizes)
    x = spikes(spec, steps, batch, RATE)
    field = Field(spec, x, settings)
    if JELLY in spikes_of:
        field.add_tools(JELLY)
    if HASN_LESS in spikes_of:
        field.add_hasn(HASN_LESS, recompute=EVERY)
        times = interleaved({name: work(field.rows[name], x) for name in (HASN, HASN_LESS)}, settings)
        result.more["seconds"] = times
        result.hold_against([TIME], times)
    ours = int(spikes_of[HASN], 16)
    for one in field.agreements:
        differ = (int(spikes_of[one.name], 16) ^ ours).bit_count()
        wrong = one.wrong
        if one.name == HASN_LESS and differ:  # the same sums, but for what is kept: not a bit may differ
            wrong = wrong or f"{differ} spikes differ from hasn's without recompute"
        result.agreements.append(replace(one, differ=differ, wrong=wrong))
