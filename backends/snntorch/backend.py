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
    from hasn.backends.snntorch.integer_executable import SnnTorchIntegers

#: The precisions that are torch dtypes.
_FLOATS = ("float64", "float32")
_SURROGATE = "atan"
_ENGINE = "fused"
_MATMUL = "float32"


class SnnTorchBackend(Backend):
    """Training, GPU, batches. An edge takes no time: the module evaluates a step's nodes in topological order."""

    name = "snntorch"
    precisions = (*_FLOATS, "loihi")
    latency = 0
    learns = True

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
        graph: nir.NIRGraph | None,
        precision: str,
        *,
        device: str | Any = "cpu",
        dtype: Any = None,
        surrogate: str | Any = _SURROGATE,
        engine: str = _ENGINE,
        recompute: int | None = None,
        matmul: str = _MATMUL,
        detach_reset: bool = False,
        **options: Any,
    ) -> SnnTorchExecutable | SnnTorchIntegers:
        """A torch module that runs ``program``; in precision "loihi", integer tensors, which do not train.

        Args:
            program: the lowered graph.
            graph: what it was lowered from; ``to_nir`` puts trained weights back into a copy of it.
            precision: "float64", "float32" or "loihi".
            device: a torch device or its name.
            dtype: torch.float32 or torch.float64 (or its name), in place of ``precision``.
            surrogate: gradient of the spike: a name in ``snntorch.surrogate`` ("atan", "fast_sigmoid", "sigmoid",
                "triangular", "straight_through_estimator", ...) or a function such a name returns.
            engine: "fused": node by node over all steps, with C kernels where they were built; "steps": the step loop.
                The module's ``engine`` can be set afterwards, too.
            recompute: K: training keeps the states at every K-th step only, and computes the others again on the way
                back: less memory, more time, the same gradients. ``module.recompute`` can be set, too.
            matmul: how dense connections multiply float32 numbers: "float32", torch's product; "split-bf16", in two
                bfloat16 parts, near float32's accuracy and faster where the processor has bf16 units; "bf16", in one,
                faster still, and spikes change. ``module.matmul`` can be set, too.
            detach_reset: let no gradient flow through the reset (snnTorch's and SpikingJelly's default; spikes are the
                same). ``module.detach_reset`` can be set, too.

        Raises:
            OptionError: no such value of an option; "loihi" with one but the device; matmul beside float32.
            UnsupportedError: precision "loihi", and the graph is not on the chip's grid.
        """
        if options:
            raise OptionError("snntorch has no such option", parameter=next(iter(options)))
        if precision == "loihi":
            _refuse_floats(dtype, surrogate, engine, recompute, matmul, detach_reset)
            from hasn.backends.snntorch.integer_executable import SnnTorchIntegers

            return SnnTorchIntegers(program, device)
        from hasn.backends.snntorch.executable import SnnTorchExecutable

        floats = precision if dtype is None else dtype_name(dtype)
        return SnnTorchExecutable(program, graph, floats, device, surrogate, engine, recompute, matmul, detach_reset)


def _refuse_floats(dtype: Any, surrogate: Any, engine: Any, recompute: Any, matmul: Any, detach_reset: Any) -> None:
    """Refuse options that integers would ignore.

    Raises:
        OptionError: a dtype, a surrogate or an engine is given.
    """
    for parameter, value, is_given in (
        ("dtype", dtype, dtype is not None),
        ("surrogate", surrogate, surrogate != _SURROGATE),
        ("engine", engine, engine != _ENGINE),
        ("recompute", recompute, recompute is not None),
        ("matmul", matmul, matmul != _MATMUL),
        ("detach_reset", detach_reset, detach_reset is not False),
    ):
        if is_given:
            raise OptionError(
                "precision 'loihi' computes in integers and does not train",
                parameter=parameter,
                got=repr(value),
                way_out=f"Leave it out, or compile with precision='{_FLOATS[1]}'.",
            )


def dtype_name(dtype: Any) -> str:
    """ "float32" or "float64" of a torch dtype or a name.

    Raises:
        OptionError: another dtype.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in _FLOATS:
        raise OptionError(
            "no such dtype here",
            parameter="dtype",
            got=repr(dtype),
            wanted=" or ".join(_FLOATS),
        )
    return name
