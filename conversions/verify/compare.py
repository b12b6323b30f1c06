"""A graph beside the module that it was made of: the same random inputs to both, every node compared on its own.

The spikes of each neuron are compared, then replaced on both sides by random numbers of several sizes, so that every
layer has lively input however silent the network is, and a tie in one neuron changes nothing behind it. hasn's nodes
are given what the module's own parts sent, so the first node that differs is where the conversion goes wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hasn.conversions.refuse import refusal
from hasn.conversions.verify.forward import around, plain, recomputing
from hasn.conversions.verify.hear import Heard, Place
from hasn.conversions.verify.nodes import Replay
from hasn.errors import HasnError
from hasn.ir.lower import lower
from hasn.program.cycles import cycles
from hasn.program.describe import counted
from hasn.program.model import Neurons, Program, Sink, Threshold

STEPS = 24
#: Samples, where the module does not fix them.
SAMPLES = 4
#: Sizes of the numbers in each sample, in turn; the first sample's are 0 and 1, as spikes are.
SIZES = (1.0, 4.0, 16.0)
#: Where some population never spikes, everything again with numbers that are so many times as large.
LOUDER = (1.0, 64.0, 4096.0)
#: Numbers that are held at most; a large network runs for fewer steps, down to 4.
_HELD = 1 << 26


@dataclass(frozen=True)
class Source:
    """The tool's side.

    Attributes:
        tool: its name and version, for the result.
        module: a copy of what was converted (:func:`copied`), at rest; it is run and given hooks.
        run: {Input: (T, batch, *shape)} -> runs all steps of ``module`` and gives {Output: (T, batch, *shape)}, for
            the Outputs that it can tell; inputs are float32.
        places: node -> the module whose values it must have.
        steps: T, where the module fixes it.
        constant: Inputs that are the same at every step.
        batch: samples, where the module fixes them.
    """

    tool: str
    module: nn.Module
    run: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
    places: Mapping[str, Place]
    steps: int | None = None
    constant: frozenset[str] = frozenset()
    batch: int | None = None


def verified(graph: nir.NIRGraph, source: Source) -> nir.NIRGraph:
    """The graph, with ``metadata["verified"]``, which says what was compared.

    Raises:
        UnsupportedError: a node differs from its module, by the module's path; the first one from Input to Output.
    """
    program = lower(graph)
    around_it = around(source.module), recomputing(source.module)
    for louder in LOUDER:
        values, ties = _compared(program, source, louder, around_it)
        silent = [name for name in _spiking(program) if name in values and not values[name].any()]
        if not silent:
            break
    graph.metadata["verified"] = _said(source.tool, program, values, ties, silent)
    return graph


def _compared(
    program: Program, source: Source, louder: float, around_it: tuple[Mapping[str, str], Mapping[str, str]]
) -> tuple[dict[str, Tensor], int]:
    """(node -> what its module gave, (T, batch, *shape); ties), where every node agrees."""
    batch = source.batch or SAMPLES
    steps = source.steps or _steps(program, batch)
    shapes = {node.name: node.shape for node in program.nodes}
    places = {name: place for name, place in source.places.items() if name in shapes}
    draw = _Draw(steps, batch, louder)
    inputs = {node.name: draw(node.shape) for node in program.inputs}
    inputs |= {name: inputs[name][:1].expand(inputs[name].shape) for name in source.constant}
    forced = {name: draw(shapes[name]) for name in _open(program) if name in places}
    heard = Heard(source.module, places, forced, shapes, steps, batch)
    outputs = _run(source, inputs)
    heard.remove()
    values = heard.values()
    replay = Replay(program, inputs, values, forced)
    wanted = {name: value.detach().cpu().to(torch.float64) for name, value in outputs.items()} | values
    for node in program.nodes:
        if node.name in values or (isinstance(node, Sink) and node.name in wanted):
            with plain():
                difference = replay.difference(node.name, wanted[node.name])
            if difference is not None:
                path = places[node.name].path if node.name in places else node.name
                raise _differs(source.tool, path, difference, *around_it)
    return values, replay.ties


class _Draw:
    """Random numbers of a generator of their own: the user's is left alone."""

    def __init__(self, steps: int, batch: int, louder: float) -> None:
        self._louder = louder
        self._steps, self._batch, self._generator = steps, batch, torch.Generator().manual_seed(20261128)

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        """(T, batch, *shape): spikes in the first sample, numbers of both signs in the others."""
        drawn = torch.rand(self._steps, self._batch, *shape, generator=self._generator)
        spikes = (drawn[:, :1] < 0.5).float()
        sizes = torch.tensor([SIZES[i % len(SIZES)] for i in range(self._batch - 1)]).view(-1, *(1,) * len(shape))
        return self._louder * torch.cat([spikes, (1.5 * drawn[:, 1:] - 0.5) * sizes], dim=1)


def _steps(program: Program, batch: int) -> int:
    width = max(1, sum(int(np.prod(node.shape)) for node in program.nodes))
    return int(np.clip(_HELD // (batch * width), 4, STEPS))


def _open(program: Program) -> list[str]:
    """Nodes that spike and do not feed back to themselves: theirs may be replaced on both sides."""
    names = [node.name for node in program.nodes]
    groups = cycles(names, [(edge.source, edge.target) for edge in program.edges])
    looped = {name for group in groups if len(group) > 1 for name in group}
    looped |= {edge.source for edge in program.edges if edge.source == edge.target}
    return [name for name in _spiking(program) if name not in looped]


def _spiking(program: Program) -> list[str]:
    return [node.name for node in program.of(Neurons, Threshold) if isinstance(node, Threshold) or node.spiking]


def _run(source: Source, inputs: dict[str, Tensor]) -> Mapping[str, Tensor]:
    """The tool's run, or a refusal with its own words."""
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the module's own: it is the user's run that they are for
            return source.run(inputs)
    except HasnError:
        raise
    except Exception as error:  # a module raises whatever its forward raises
        shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in inputs.items())
        words = str(error).splitlines()[0] if str(error) else ""
        raise refusal(
            "",
            "verify",
            f"the module itself fails on an input of random numbers: {type(error).__name__}: {words}",
            got=shapes,
            wanted="a module that runs, step by step",
            way_out="Run it on such an input first; verify=False converts without a comparison.",
        ) from error


def _differs(
    tool: str, path: str, difference: str, outside: Mapping[str, str], weights: Mapping[str, str]
) -> HasnError:
    """The refusal, with the hooks that may be why."""
    near = {at: what for at, what in outside.items() if at == path} or dict(outside)
    way_out = "Remove what stands around forward, or write it as layers of its own."
    if path in weights:
        both = path in outside  # a hook beside it may as well be why
        near = {path: f"{outside[path]} and {weights[path]}" if both else weights[path]}
        way_out = (
            "Call module.eval() first, or make the weight plain: prune.remove, remove_weight_norm, "
            "remove_spectral_norm or parametrize.remove_parametrizations." + (f" {way_out}" if both else "")
        )
    why = "; ".join(f"{_quoted(at)} has {what}" for at, what in near.items())
    return refusal(
        path,
        "verify",
        f"its values in {tool} are not those of the converted node"
        + (f" ({why}, which a NIR node has not)" if why else ""),
        got=difference,
        wanted="the same at every step",
        way_out=way_out if why else "Please report it with the module; verify=False gives the graph as it is.",
    )


def _quoted(path: str) -> str:
    return f"'{path}'" if path else "the module"


def _said(tool: str, program: Program, values: Mapping[str, Tensor], ties: int, silent: list[str]) -> str:
    """What was compared, in a line."""
    spiking = [node.name for node in program.of(Neurons, Threshold) if node.name in values]
    spikes = sum(int((values[name] > 0).sum()) for name in spiking)
    total = sum(values[name].numel() for name in spiking)
    others = len(values) - len(spiking)
    steps, samples = next(iter(values.values())).shape[:2] if values else (0, 0)
    tied = f", {ties} ties left out" if ties else ""
    never = f"; never spiked: {', '.join(silent)}" if silent else ""
    heard = f"{counted(spikes, 'spike')} in {total:,} chances{tied}"
    return (
        f"as converted: {tool} and hasn agree in {counted(len(spiking), 'population')} ({heard}) "
        f"and {counted(others, 'layer')}, on {steps} steps of {samples} random samples{never}"
    )
