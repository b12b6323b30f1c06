"""``python -m tests.fuzz --seconds 60 --seed 1``: draw inputs until the time is over; status 1 if anything is found."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import ENDINGS, make_seeds
from tests.fuzz.worker import SMALL, make_secrets, tried

CORPUS = Path(__file__).parent / "corpus"
_MOST = 200  # of a kind that are damaged further


def main() -> int:
    """Draw, run, keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="of the draws; default: another one each time")
    parser.add_argument("--kind", choices=sorted(ENDINGS), action="append", help="kinds of file; default: all")
    given = parser.parse_args()
    seed = int(time.time()) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="hasn-fuzz-") as name:
        count, found = fuzz(Path(name), given.seconds, seed, given.kind or list(ENDINGS))
    text = ", ".join(f"{n} {kind}" for kind, n in sorted(count.items()))
    sys.stdout.write(f"seed {seed}: {sum(count.values())} inputs ({text}), {len(found)} faults\n")
    for fault, path in found.items():
        sys.stdout.write(f"  {path}: {fault}\n")
    return 1 if found else 0


def fuzz(folder: Path, seconds: float, seed: int, kinds: list[str]) -> tuple[Counter[str], dict[str, Path]]:
    """How many inputs of each kind were tried, and fault -> the file that shows it, in the corpus."""
    make_secrets(folder)
    pools = make_seeds(folder)
    for path in sorted(CORPUS.glob("*-*")):
        pools[path.name.split("-")[0]].append(path.read_bytes())
    rng, count, found = np.random.default_rng(seed), Counter[str](), dict[str, Path]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kind = kinds[int(rng.integers(len(kinds)))]
        pool = pools[kind]
        content = mutated(kind, pool[int(rng.integers(len(pool)))], rng, folder)
        if len(content) > SMALL:
            continue
        path = folder / f"input{ENDINGS[kind]}"
        path.write_bytes(content)
        outcome = tried(kind, path, folder)
        count[kind] += 1
        fault = outcome.fault.splitlines()[0][:100] if outcome.fault else ""
        if not fault and rng.random() < 0.1 and len(pool) < _MOST:
            pool.append(content)
        if fault and f"{kind} {fault}" not in found:
            found[f"{kind} {fault}"] = _kept(kind, content)
            sys.stdout.write(f"{kind}: {outcome.fault}\n")
            sys.stdout.flush()
    return count, found


def _kept(kind: str, content: bytes) -> Path:
    path = CORPUS / f"{kind}-{hashlib.sha256(content).hexdigest()[:10]}{ENDINGS[kind]}"
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    sys.exit(main())
