"""What hasn knows of Brian2 before it imports it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import get_args

import nir

from hasn.backend import Backend
from hasn.backends.brian2.engine import Options, Target
from hasn.backends.brian2.executable import Brian2Executable, Brian2Integers
from hasn.errors import OptionError
from hasn.program.model import Program

_INSTALL = "pip install 'hasn[brian2]'"


class Brian2Backend(Backend):
    """Brian2 (Stimberg, Brette & Goodman, eLife 8, 2019, e47314): generated code with units, no numerical integrator.

    The update uses the Program's coefficients, one network holds the whole batch side by side, and a schedule with
    slots for each topological level delivers spikes within the step.
    """

    name = "brian2"
    precisions = ("float64", "float32", "loihi")
    latency = 0
    learns = True

    def why_not(self) -> str:
        """Why Brian2 cannot run here, with the command that mends it; empty if it can."""
        if find_spec("brian2") is None:
            return f"Brian2 is not installed; {_INSTALL}"
        # Brian2 2.9 imports a name from numpy that numpy 2.4 removed.
        if _numbers(version("numpy")) >= (2, 4) and _numbers(self.version()) < (2, 10):
            return (
                f"Brian2 {self.version()} cannot be imported with numpy {version('numpy')}; {_INSTALL} 'numpy<2.4'"
                " (or Python >= 3.12 and Brian2 >= 2.10)"
            )
        return ""

    def version(self) -> str:
        """Brian2's version, empty if it is not installed."""
        try:
            return version("brian2")
        except PackageNotFoundError:
            return ""

    def compile(  # type: ignore[override]  # the options are named, which is how Backend.options() finds them
        self,
        program: Program,
        graph: nir.NIRGraph | None,
        precision: str,
        *,
        target: Target = "auto",
        build_dir: str | None = None,
        max_synapses: int = 20_000_000,
    ) -> Brian2Executable | Brian2Integers:
        """Make a Program ready to run.

        Args:
            program: what to run.
            graph: not used: the Program says it all.
            precision: "float64" or "float32": the type of every state variable; "loihi": the chip's integers.
            target: "numpy"; "cython" (compiles each piece of code once, some seconds each, kept on disk);
                "cpp_standalone" (one C++ program a run, no streams); "auto": NumPy, or Cython where it works
                and a run is so long that compiling pays. All targets do the same arithmetic in the same order.
            build_dir: where cpp_standalone writes its program; default: a temporary folder.
            max_synapses: most synapses that one network may hold; larger batches are run in parts.

        Raises:
            OptionError: an option has no such value.
            UnsupportedError: one sample alone has more than ``max_synapses`` synapses; or precision is "loihi" and the
                network is not on the chip's grid.
        """
        if target not in get_args(Target):
            raise OptionError(
                "unknown target", parameter="target", got=repr(target), wanted=" or ".join(get_args(Target))
            )
        if build_dir is not None and target != "cpp_standalone":
            raise OptionError(
                "only cpp_standalone writes a program",
                parameter="build_dir",
                got=repr(build_dir),
                wanted="None",
                way_out="Leave it out, or pass target='cpp_standalone'.",
            )
        if isinstance(max_synapses, bool) or not isinstance(max_synapses, int) or max_synapses < 1:
            raise OptionError(
                "not a number of synapses", parameter="max_synapses", got=repr(max_synapses), wanted="an integer >= 1"
            )
        how = Options(target, build_dir, max_synapses)
        return Brian2Integers(program, how) if precision == "loihi" else Brian2Executable(program, precision, how)


def _numbers(text: str) -> tuple[int, ...]:
    """(major, minor) of a version."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
