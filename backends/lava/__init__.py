"""Lava (lava-nc 0.10.0) in a Python 3.10 of its own, reached through a worker process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import nir

from hasn.backend import Backend
from hasn.errors import OptionError
from hasn.executable import Executable
from hasn.program.model import Program

DELIVERIES = ("auto", "retimed", "in-step")
LEARNINGS = ("process", "engine", "engine-exact")


class LavaBackend(Backend):
    """Runs Programs on Lava's CPU simulation, with its stock processes wherever they have the node's equation."""

    name = "lava"
    precisions = ("float64", "loihi")
    latency = 1
    learns = True

    def why_not(self) -> str:
        """What is missing, with the command that installs it; reads one small file."""
        from hasn.backends.lava.environment import status

        return status().why_not

    def version(self) -> str:
        """lava-nc's version, empty if it is not installed."""
        from hasn.backends.lava.environment import status

        return status().versions.get("lava-nc", "")

    def session(self) -> AbstractContextManager[None]:
        """One worker for all executables of the block, as long as they run one after the other."""
        from hasn.backends.lava.worker_process import shared_worker

        return shared_worker()

    def compile(
        self,
        program: Program,
        graph: nir.NIRGraph | None,
        precision: str,
        *,
        time_limit: float = 120.0,
        delivery: Literal["auto", "retimed", "in-step"] = "auto",
        learning: Literal["process", "engine", "engine-exact"] = "process",
        **options: Any,
    ) -> Executable:
        """Choose Lava processes for a Program; the worker starts with the first run.

        Args:
            program: what to run.
            graph: the graph it came from (not needed).
            precision: "float64", or "loihi": the chip's integers, on stock processes alone, always retimed.
            time_limit: seconds without a sign of life after which the worker counts as hung.
            delivery: "retimed": every connection takes a step, as on the chip, and populations run shifted, so that
                the network stays the same; "in-step": connections deliver in the step in which they receive;
                "auto": retimed where that is possible.
            learning: "process": connections learn in processes of ours, as on the other backends; "engine": on Lava's
                own learning engine, which a chip has, by its own order (docs/plasticity.md), always retimed;
                "engine-exact": there too, with two steps of it for one of the network, so that a pair of spikes counts
                in its own step, as on the other backends.

        Raises:
            OptionError: an option has no meaning.
            RetimingError: ``delivery="retimed"`` or precision "loihi", and a cycle has fewer steps of delay than its
                connections take.
            UnsupportedError: precision "loihi", and the graph has what the chip's LIF neuron has not; learning
                on the engine, and it has no place for a term of a rule, or for a connection.
        """
        from hasn.backends.lava.engine_executable import LavaEngineExecutable
        from hasn.backends.lava.executable import LavaExecutable
        from hasn.backends.lava.integer_executable import LavaIntegerExecutable

        for name in options:
            raise OptionError("lava has no such option", parameter=name, wanted=", ".join(self.options()))
        for name, chosen, known in (("delivery", delivery, DELIVERIES), ("learning", learning, LEARNINGS)):
            if chosen not in known:
                raise OptionError(f"unknown {name}", parameter=name, got=repr(chosen), wanted=" or ".join(known))
        number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
        if not number or not time_limit > 0:
            raise OptionError("no such time", parameter="time_limit", got=repr(time_limit), wanted="seconds > 0")
        if precision == "loihi":
            if delivery == "in-step":
                raise OptionError(
                    "the chip's connections take a step",
                    parameter="delivery",
                    got=repr(delivery),
                    wanted="auto or retimed",
                    way_out="precision='loihi' has no process of ours that delivers within the step.",
                )
            return LavaIntegerExecutable(program, float(time_limit))
        if learning != "process" and program.learning:
            if delivery == "in-step":
                raise OptionError(
                    "Lava's learning connections take a step",
                    parameter="delivery",
                    got=repr(delivery),
                    wanted="auto or retimed",
                    way_out="Leave it out, or take learning='process'.",
                )
            stride = {"engine": 1, "engine-exact": 2}[learning]
            return LavaEngineExecutable(program, precision, float(time_limit), stride)
        return LavaExecutable(program, precision, float(time_limit), delivery)


BACKEND = LavaBackend()
