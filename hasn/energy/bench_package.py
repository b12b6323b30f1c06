"""The way into the package neurobench, which need not be there."""

from __future__ import annotations

from typing import Any

from hasn.errors import BackendUnavailable
from hasn.executable import Executable


def benchmark_model(executable: Executable) -> Any:
    """An executable as a model that ``neurobench.benchmarks.Benchmark`` runs: data (batch, T, *shape).

    Raises:
        BackendUnavailable: the package neurobench is not installed, or torch.
        OptionError, UnsupportedError: see :class:`hasn.energy.bench_model.ExecutableModel`.
    """
    try:
        from hasn.energy.bench_model import ExecutableModel
    except ImportError as error:
        raise BackendUnavailable(
            f"NeuroBench cannot be imported ({error})",
            way_out="pip install 'hasn[neurobench]'; or, without what its data sets need: "
            "pip install 'hasn[snntorch]' && pip install --no-deps neurobench tqdm",
        ) from error
    return ExecutableModel(executable)
