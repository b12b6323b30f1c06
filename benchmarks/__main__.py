"""hasn's speed and memory against other tools: see benchmarks/README.md.

    python -m benchmarks [--only dense,latency] [--pairs 12] [--quick] [--json FILE] [--plot FILE] [--markdown FILE]

Status 1: hasn's spikes or gradients are not those of snnTorch's loop (benchmarks/agreement.py says what counts). A
target that is not met is no error. A tool that is not installed, or fails, is left out with its reason.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.results import Result

#: As the issue's figures were taken.
THREADS = 2
PAIRS, QUICK_PAIRS = 12, 2


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = "dense, convolution, recurrent, latency, memory, length"
    parser.add_argument("--only", default="", help=f"experiments, with commas between; default: {every}")
    parser.add_argument("--pairs", type=int, help=f"measured turns; default {PAIRS}, {QUICK_PAIRS} with --quick")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all works: no figures to quote")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--json", type=Path, help="default: build/bench.json")
    parser.add_argument("--plot", type=Path, help="default: build/bench.png")
    parser.add_argument("--markdown", type=Path, help="default: build/bench.md")
    given = parser.parse_args(arguments)
    stem = "bench-quick" if given.quick else "bench"  # a trial does not write over figures
    for name, suffix in (("json", "json"), ("plot", "png"), ("markdown", "md")):
        setattr(given, name, getattr(given, name) or Path(f"build/{stem}.{suffix}"))
    if given.threads < 1 or (given.pairs is not None and given.pairs < 1):
        parser.error("--pairs and --threads must be at least 1")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status."""
    given = options(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", str(given.threads))  # before torch and the kernels start theirs
    reason = without_torch()
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 2
    from benchmarks.speed import EXPERIMENTS

    names = [name for name in given.only.split(",") if name] or list(EXPERIMENTS)
    unknown = sorted(set(names) - set(EXPERIMENTS))
    if unknown:
        sys.stderr.write(f"no experiment {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}\n")
        return 2
    results, where = [], {}
    for results, where in measured(names, given):
        write(results, where, given)  # after each: a benchmark that is stopped leaves what it has measured
    report(results, where)
    sys.stdout.write(f"Written: {given.json}, {given.markdown}, {given.plot}\n")
    for one in wrong_in(results):
        sys.stderr.write(f"WRONG: {one}\n")
    return int(bool(wrong_in(results)))


def wrong_in(results: Sequence[Result]) -> list[str]:
    """Why the benchmark fails."""
    return [one for result in results for one in result.wrong]


def measured(names: Sequence[str], given: argparse.Namespace) -> Iterator[tuple[list[Result], dict[str, Any]]]:
    """After each experiment: (results so far, the machine)."""
    import torch

    from benchmarks.common import load, stage, tools_machine
    from benchmarks.peers import found
    from benchmarks.speed import EXPERIMENTS
    from benchmarks.timing import Settings, matmul_precision

    torch.set_num_threads(given.threads)
    tools, skipped = found()
    pairs = given.pairs or (QUICK_PAIRS if given.quick else PAIRS)
    where = tools_machine(given.threads) | {"pairs": pairs, "skipped": skipped}
    results: list[Result] = []
    for name in names:
        with matmul_precision("highest"), stage(name) as bar:
            results.append(EXPERIMENTS[name](Settings(pairs, given.quick, tools, skipped, bar)))
        yield results, where | {"load_after": load()}


def write(results: Sequence[Result], where: dict[str, Any], given: argparse.Namespace) -> None:
    """JSON, Markdown and the plot."""
    from benchmarks.common import write_json, write_whole
    from benchmarks.plot import draw
    from benchmarks.report import machine_line, markdown

    for path in (given.json, given.markdown, given.plot):
        path.parent.mkdir(parents=True, exist_ok=True)
    figures = {"machine": where, "quick": given.quick, "wrong": wrong_in(results)}
    write_json(given.json, figures | {"experiments": {result.name: result.as_json() for result in results}})
    write_whole(given.markdown, lambda path: path.write_text(markdown(results, where), encoding="utf8"))
    write_whole(given.plot, lambda path: draw(results, machine_line(where), path))


def report(results: Sequence[Result], where: dict[str, Any]) -> None:
    """To the terminal."""
    from benchmarks.report import machine_line, print_tables

    print_tables(results)
    sys.stdout.write(f"\n{machine_line(where)}\n")


def without_torch() -> str:
    """Why nothing can be measured; "" if it can."""
    from hasn.backend import get_backend

    return get_backend("snntorch").why_not()


if __name__ == "__main__":
    sys.exit(main())
