"""A snnTorch module as a NIR graph: torch.fx follows its forward, and every call becomes nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import torch
from torch import fx, nn

from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.flow import Flow
from hasn.conversions.snntorch.layers import LAYERS, Shape
from hasn.conversions.snntorch.neurons import is_neuron
from hasn.conversions.snntorch.source import rest, source
from hasn.conversions.snntorch.unroll import FORM, MOVING, Given, first_turn
from hasn.conversions.verify import copied, require_plain, settled, verified
from hasn.errors import InputError, OptionError
from hasn.finding import raise_errors
from hasn.ir.check import check
from hasn.ir.timestep import check_dt
from hasn.ir.typed import with_types

_UNPROVED = "a loop over time is taken from its first turn, and only a run proves that the others do the same"


class _Tracer(fx.Tracer):
    """Goes into every module but torch's own layers and snnTorch's neurons; follows a loop over time turn by turn.

    Attributes:
        rank: axes that an argument of forward says it has.
    """

    def __init__(self, rank: int = 2) -> None:
        super().__init__()
        self.rank = rank
        self._given: set[fx.Node] = set()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """An argument may be asked for its shape, in another order of its axes too."""
        moved = node.op == "call_method" and node.target in MOVING and node.args and node.args[0] in self._given
        if node.op != "placeholder" and not moved:
            return super().proxy(node)
        self._given.add(node)
        return Given(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_neuron(m) or type(m) in LAYERS or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Containers by their forward alone: a hook that looks would be taken for a part of the network."""
        return super().call_module(m, m.forward, args, kwargs)


def from_snntorch(
    module: nn.Module, *, input_shape: Shape | Mapping[str, Shape] | None = None, dt: float, verify: bool = True
) -> nir.NIRGraph:
    """A snnTorch network as a NIR graph that fires the same spikes, step by step.

    ``module.forward`` is one time step: ``nn.Sequential`` (nested or not), or anything that torch.fx can follow, with
    hidden states (``spk = lif(x)``) or passed ones (``spk, mem = lif(x, mem)``). The states start at rest, as after
    ``reset_mem()``. Or forward loops over all steps, of an input (T, batch, ...), (batch, T, ...) or one that is the
    same at every step, and returns lists or stacks of what each step gives.

    Equations and resets: :mod:`hasn.conversions.snntorch.neurons`; the table of what is taken over, and what is
    refused, is in docs/conversions.md.

    Args:
        module: the network, in evaluation if it has dropout or batch normalisation. It is not changed.
        input_shape: shape of one input without time and batch, or {argument of forward: shape}; may be left out where
            a Linear is the first layer.
        dt: seconds a step. snnTorch counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in snnTorch and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared), one node or a few for every
        layer, named by its path (``fc1``, ``block.0``).
        Each neuron's metadata says its ``reset`` and from which snnTorch settings it came. Spikes that ``forward``
        returns are Outputs (states beside them are not: a Recording has the voltages); the membrane of a neuron with
        ``reset_mechanism="none"`` may be an Output too, where it is returned without its spikes.

    Raises:
        UnsupportedError: a module, a setting or an operation that NIR cannot say, by its path, with the way out; a node
            that differs from its module.
        OptionError: not a torch module, or the input's shape is not known.
        TimeStepError: dt is not a finite number > 0.
    """
    if not isinstance(module, nn.Module):
        raise OptionError("not a torch module", parameter="module", got=type(module).__name__, wanted="torch.nn.Module")
    step = check_dt(dt)
    require_plain(module, verify)
    whole = nn.Sequential(module) if _Tracer().is_leaf_module(module, "") else module  # a lone layer is "0"
    root = settled(copied(whole))
    shapes = _shapes(input_shape)
    one, loop = first_turn(_trace(root, shapes), root)
    if loop is not None and not verify:
        raise refusal("", "verify", _UNPROVED, got=False, wanted="True", way_out=FORM)
    flow = Flow(root, step, shapes)
    for node in one.nodes:
        flow.take(node)
    flow.drop_unread_thresholds()
    for name in flow.unused_shapes:
        raise OptionError(
            "forward has no such input", parameter="input_shape", got=name, wanted=str(sorted(flow.inputs.values()))
        )
    graph = nir.NIRGraph(flow.nodes, flow.edges, metadata={"dt": step}, type_check=False)
    typed = with_types(graph)
    raise_errors(check(typed))
    return verified(typed, source(rest(copied(whole)), flow, loop)) if verify else typed


def _trace(root: nn.Module, shapes: Mapping[str | None, Shape]) -> fx.Graph:
    """The calls of one forward."""
    rank = max((len(shape) for shape in shapes.values()), default=1) + 1
    try:
        try:
            return _Tracer(rank).trace(root)
        except ValueError:  # it takes the shape apart, and has an axis of time
            return _Tracer(rank + 1).trace(root)
    except Exception as error:  # fx raises whatever the forward raises when it meets a symbolic value
        raise refusal(
            "",
            "forward",
            f"torch.fx cannot follow it: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            wanted="one time step, or a loop over them, without decisions on values",
            way_out=FORM,
        ) from error


def _shapes(given: Any) -> dict[str | None, Shape]:
    """The shape of each argument by name; None stands for the only one."""
    if given is None:
        return {}
    items = given.items() if isinstance(given, Mapping) else [(None, given)]
    shapes: dict[str | None, Shape] = {}
    for name, shape in items:
        sizes = np.atleast_1d(np.asarray(tuple(shape) if isinstance(shape, torch.Size) else shape))
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or sizes.size == 0 or np.any(sizes < 1):
            raise InputError("is not a shape", parameter="input_shape", got=repr(shape), wanted="integers >= 1")
        shapes[name] = tuple(int(n) for n in sizes)
    return shapes
