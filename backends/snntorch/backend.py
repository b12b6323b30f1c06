"""What the snnTorch backend offers, without importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import nir

from hasn.backend import Backend
from hasn.errors import OptionError
from hasn.program.model import Program

if TYPE_CHECKING:
    from hasn.backends.snntorch.executable import SnnTorchExecutable


class SnnTorchBackend(Backend):
    """Training, GPU, batches. An edge takes no time: the module evaluates a step's nodes in topological order."""

    name = "snntorch"
    precisions = ("float64", "float32")
    latency = 0

    def why_not(self) -> str:
        """Which package is missing, and the command that installs it."""
        missing = [package for package in ("torch", "snntorch") if find_spec(package) is None]
        return f"{' and '.join(missing)} is not installed: pip install 'hasn[snntorch]'" if missing else ""

    def version(self) -> str:
        """snnTorch's and torch's versions."""
        try:
            return f"{version('snntorch')} (torch {version('torch')})"
        except PackageNotFoundError:
            return ""

    def compile(
        self,
        program: Program,
        graph: nir.NIRGraph,
        precision: str,
        *,
        device: str | Any = "cpu",
        dtype: Any = None,
        surrogate: str | Any = "atan",
        **options: Any,
    ) -> SnnTorchExecutable:
        """A torch module that runs ``program``.

        Args:
            program: the lowered graph.
            graph: what it was lowered from; ``to_nir`` puts trained weights back into a copy of it.
            precision: "float64" or "float32".
            device: a torch device or its name.
            dtype: torch.float32 or torch.float64 (or its name), in place of ``precision``.
            surrogate: gradient of the spike: a name in ``snntorch.surrogate`` ("atan", "fast_sigmoid", "sigmoid",
                "triangular", "straight_through_estimator", ...) or a function such a name returns.

        Raises:
            OptionError: no such device, dtype or surrogate.
        """
        from hasn.backends.snntorch.executable import SnnTorchExecutable

        if options:
            raise OptionError("snntorch has no such option", parameter=next(iter(options)))
        return SnnTorchExecutable(program, graph, precision if dtype is None else dtype_name(dtype), device, surrogate)


def dtype_name(dtype: Any) -> str:
    """ "float32" or "float64" of a torch dtype or a name.

    Raises:
        OptionError: another dtype.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in SnnTorchBackend.precisions:
        raise OptionError(
            "no such dtype here",
            parameter="dtype",
            got=repr(dtype),
            wanted=" or ".join(SnnTorchBackend.precisions),
        )
    return name
