"""A quantised network: a graph in the chip's units, and how its numbers read in volts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.export.volts import in_volts
from hasn.errors import InputError, OptionError, ParameterError
from hasn.executable import Executable
from hasn.ir.lower import lower
from hasn.ir.meaning import keep
from hasn.ir.typed import copy_graph
from hasn.nodes.values import text
from hasn.program.fuse import fuse
from hasn.program.integers.lower import to_integers
from hasn.program.integers.model import IntegerNetwork
from hasn.signals import real_array

if TYPE_CHECKING:
    from hasn.conversions.loihi.quantising.report import QuantisationReport

#: Where a graph's metadata keeps what is not meaning: target, scales. The graph runs the same without it.
KEY = "loihi"


@dataclass(frozen=True)
class Scale:
    """``v_chip = scale * (v - offset)``: chip units a volt, and the voltage (v_reset) that became 0.

    Attributes:
        scale: chip units (64 are one unit of weight) a volt, for each neuron; the same for all of a population unless
            their R had to be folded into it.
        offset: volts, for each neuron.
    """

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network in the chip's integers.

    ``graph`` is a plain NIR graph in the chip's units (see :mod:`hasn.program.integers.encode`): it compiles on every
    backend with ``precision="loihi"``, and runs bit for bit the same there.

    Attributes:
        graph: weights ``mantissa << weight_exp``, voltages of which 64 are one unit of weight.
        target: "loihi1" or "loihi2".
        dt: seconds a step.
        timing: "synchronous" or "hardware".
        scales: population -> how its voltage was scaled.
        input_scales: Input -> what its data is multiplied with and rounded (1 for spikes).
        floating: the graph that the integers stand for, in volts: ``--target nir``. None if only integers are known.
    """

    graph: nir.NIRGraph = field(repr=False)
    target: str
    dt: float
    timing: str = "synchronous"
    scales: dict[str, Scale] = field(default_factory=dict, repr=False)
    input_scales: dict[str, float] = field(default_factory=dict)
    floating: nir.NIRGraph | None = field(default=None, repr=False)
    _report: QuantisationReport | None = field(default=None, repr=False)

    @classmethod
    def of_graph(
        cls, graph: nir.NIRGraph, *, target: str | None = None, dt: float | None = None, timing: str | None = None
    ) -> QuantisedNetwork:
        """Take a graph that is in the chip's units already, as :meth:`save` wrote it or as made by hand.

        Args:
            graph: the graph.
            target, timing: default: what the graph's metadata say, else "loihi2" and "synchronous".
            dt: default: the graph's own.

        Raises:
            UnsupportedError: it is not on the chip's grid.
            ParameterError: the scales in its metadata are damaged.
            TimeStepError: no dt.
        """
        kept = _kept(graph)
        program = lower(graph, dt=dt, timing=timing)
        to_integers(fuse(program))
        try:
            scales = {
                name: Scale(*(np.asarray(entry[key], dtype=np.float64) for key in ("scale", "offset")))
                for name, entry in kept.get("scales", {}).items()
            }
            inputs = {name: float(value) for name, value in kept.get("input_scales", {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ParameterError(
                f"the scales that the graph's metadata keep are damaged ({type(error).__name__}: {error})",
                parameter=f"metadata[{KEY!r}]",
                wanted="what hasn.quantise writes there",
                way_out="Quantise the float graph again, or take the entry out: the graph runs the same without it.",
            ) from None
        chip = target or str(kept.get("target", "loihi2"))
        return cls(copy_graph(graph), chip, program.dt, program.timing, scales, inputs)

    @cached_property
    def integers(self) -> IntegerNetwork:
        """Registers and weights."""
        return to_integers(fuse(lower(self.graph, dt=self.dt, timing=self.timing)))

    def compile(self, backend: str = "snntorch", **backend_options: Any) -> Executable:
        """``hasn.compile(graph, backend, precision="loihi")`` with this network's dt and timing."""
        from hasn.compiler import compile as compile_graph

        return compile_graph(
            self.graph, backend, dt=self.dt, timing=self.timing, precision="loihi", **backend_options
        )  # fmt: skip

    def inputs(self, data: Any) -> Any:
        """Data of the float network as integers: ``round(input_scale * x)``.

        Args:
            data: as for ``Executable.run``: an array, or {Input: array}.

        Raises:
            InputError: an Input of another name, or no real numbers.
        """
        if not isinstance(data, Mapping):
            names = list(self.integers.inputs)
            if len(names) != 1:
                raise InputError("several Inputs: one array is not enough", parameter="data", wanted=", ".join(names))
            return self._scaled(names[0], data)
        return {name: self._scaled(name, value) for name, value in data.items()}

    def _scaled(self, name: str, value: Any) -> NDArray[np.float64]:
        if name not in self.integers.inputs:
            raise InputError("there is no such Input", node=name, wanted=", ".join(self.integers.inputs))
        values = np.asarray(real_array(name, value), dtype=np.float64)
        return np.asarray(np.rint(values * self.input_scales.get(name, 1.0)))

    def volts(self, population: str, chip: Any) -> NDArray[np.float64]:
        """A population's voltage in volts, from what precision "loihi" records (..., *shape).

        Raises:
            OptionError: its scale is not known.
        """
        if population not in self.scales:
            raise OptionError(
                "its scale is not known", node=population, parameter="population", wanted=", ".join(self.scales) or None
            )
        scale = self.scales[population]
        return np.asarray(np.asarray(chip, dtype=np.float64) / scale.scale + scale.offset)

    def dequantised(self) -> nir.NIRGraph:
        """What the integers stand for, in volts: the graph for other chips' tools.

        Where only the integers and their scales are known (a saved network), weights stay integers and R has the scale.

        Raises:
            OptionError: the scales are not known either.
        """
        if self.floating is not None:
            return copy_graph(self.floating)
        missing = sorted(set(self.integers.populations) - set(self.scales))
        if missing:
            raise OptionError(
                "the network is known as integers alone, so a volt has no meaning in it",
                node=missing[0],
                parameter="scales",
                way_out="Quantise the float graph (hasn.quantise, or --calibrate on the command line).",
            )
        return in_volts(self.graph, self.scales, self.input_scales)

    def report(self) -> QuantisationReport:
        """Per node: scale, bits used, saturation, weight error, expected drift.

        Raises:
            OptionError: the network was read from a file, not quantised here.
        """
        if self._report is None:
            raise OptionError("there is no calibration to report on", way_out="Quantise the float graph.")
        return self._report

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the graph, its scales as metadata.

        Raises:
            FileError: the file exists and ``force`` is False, or cannot be written.
        """
        from hasn.ir.save import save

        save(self.with_metadata(), path, force=force)

    def with_metadata(self) -> nir.NIRGraph:
        """A copy of the graph that knows its target, timing and scales."""
        made = copy_graph(self.graph)
        keep(made, dt=self.dt, timing=self.timing)
        scales = {name: {"scale": s.scale.tolist(), "offset": s.offset.tolist()} for name, s in self.scales.items()}
        made.metadata[KEY] = json.dumps({"target": self.target, "scales": scales, "input_scales": self.input_scales})
        return made


def _kept(graph: nir.NIRGraph) -> dict[str, Any]:
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    try:
        kept = json.loads(text(metadata.get(KEY)) or "{}")
    except (TypeError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
