"""Sinabs networks to NIR, by their modules (sinabs 3.1).

Sinabs steps, with its time constants counted in steps, ``alpha = exp(-1/tau)``:

    LIF       i <- alpha_syn*(i + x) (or i = x),  v <- alpha*v + (1 - alpha)*i      (i alone with norm_input=False)
    IAF       v <- v + i
    ExpLeak   as LIF, without spikes
    ...Recurrent   x + rec_connect(z[t-1]), which is 0 at the first step, its bias included
    z = 1[v >= threshold] with SingleSpike, then v <- v - z*threshold (MembraneSubtract), or 0 (MembraneReset)

``v >= threshold`` becomes ``v >`` the next smaller float32. Sinabs' own exporter writes tau in steps, not in seconds,
which is one factor dt too few; r = 1 where an input of IAF weighs 1/dt; no synaptic current, no reset, no norm_input;
it is not used.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from torch import Tensor, nn

from hasn.conversions.flow import Flow
from hasn.conversions.layers import LAYERS
from hasn.conversions.refuse import refusal
from hasn.conversions.running import at_once, given_to
from hasn.conversions.tool import FLAT, Frame, NeuronBuilder, Tool
from hasn.conversions.traced import from_sample
from hasn.conversions.update import Piece, Update, piece_of
from hasn.conversions.values import just_below, spread
from hasn.errors import HasnError, ShapeError, UnsupportedError
from hasn.nodes.lookup import kind_of
from hasn.nodes.values import pair
from hasn.program.model import Shape

_SEQUENCE: Frame = ("batch", "time")
_NEURONS = ("LIF", "LIFSqueeze", "IAF", "IAFSqueeze", "ExpLeak", "ExpLeakSqueeze")
_RECURRENT = ("LIFRecurrent", "IAFRecurrent")
_CONNECTS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def from_sinabs(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A Sinabs network as a NIR graph that fires the same spikes under hasn's Euler step.

    Args:
        module: an ``nn.Sequential``, or another module whose forward torch.fx can follow, of Sinabs' LIF, IAF, ExpLeak
            (the Squeeze and Recurrent forms included) and of torch's layers; docs/conversions.md has the table. It is
            not changed.
        sample: an input as the module takes it: (batch, time, *shape), or (batch*time, *shape) for Squeeze layers.
        dt: seconds a step. Sinabs counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in Sinabs and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared); nodes are named by the
        modules' paths.

    Raises:
        UnsupportedError: a layer or setting that NIR cannot say (several spikes in one step, a lower bound of the
            membrane), by its path, with the way out.
        InputError: the sample is none of this network's.
        TimeStepError: dt is not a finite number > 0.
        ImportError: Sinabs is not installed.
    """
    return from_sample(module, _tool(), dt, sample, verify)


def _tool() -> Tool:
    import sinabs.layers as layers

    neurons: dict[type, NeuronBuilder] = {getattr(layers, name): _neuron for name in _NEURONS}
    neurons |= {getattr(layers, name): _recurrent for name in _RECURRENT}

    def is_own(module: nn.Module) -> bool:
        return type(module).__module__.startswith("sinabs.layers.")

    def is_neuron(module: nn.Module) -> bool:
        return isinstance(module, layers.StatefulLayer)

    def takes(module: nn.Module) -> Frame | None:
        if not is_neuron(module):
            return None
        return FLAT if isinstance(module, layers.SqueezeMixin) else _SEQUENCE

    return Tool(
        "Sinabs",
        neurons=neurons,
        is_neuron=is_neuron,
        unknown=lambda module, path: _unknown(module, path, neurons),
        run=_run,
        is_own=is_own,
        layers={**LAYERS, layers.SumPool2d: _sum_pool},
        inside={
            layers.Repeat: lambda module, steps, x: steps.frame(
                module.module(steps.frame(x, _SEQUENCE, FLAT)), FLAT, _SEQUENCE
            ),
            layers.FlattenTime: lambda module, steps, x: steps.frame(x, _SEQUENCE, FLAT),
            layers.UnflattenTime: lambda module, steps, x: steps.frame(x, FLAT, _SEQUENCE),
            layers.Merge: lambda module, steps, left, right: left + right,
        },
        frames=(_SEQUENCE, FLAT),
        takes=takes,
        reframe=(
            "Use the Squeeze forms throughout, or put what takes one step at a time into sinabs.layers.Repeat; and "
            "hand over a sample of that form."
        ),
        input_name="input",
        form="Hand over the network without the loop: Sinabs' layers take whole sequences.",
    )


#: Layers that cannot be said, by their names, and the way out.
_WAYS_OUT = {
    "ALIF": "Its threshold adapts in another order than hasn's AdaptiveLIF; train with LIF.",
    "ALIFRecurrent": "Its threshold adapts in another order than hasn's AdaptiveLIF; train with LIFRecurrent.",
    "SpikingMaxPooling2dLayer": "NIR has no maximum; train with SumPool2d or AvgPool2d.",
    "NeuromorphicReLU": "Analog activations are no spikes: convert the network with sinabs.from_torch first.",
    "QuantizeLayer": "NIR's signals are real numbers: take it out.",
    "Cropping2dLayer": "Crop the input, or use a convolution without padding.",
}


def _unknown(module: nn.Module, path: str, neurons: dict[type, NeuronBuilder]) -> HasnError:
    name = type(module).__name__
    base = next((kind.__name__ for kind in neurons if isinstance(module, kind)), None)
    why = f": a subclass of {base} may compute anything" if base else ""
    return refusal(
        path,
        None,
        f"{name} cannot be said in NIR{why}",
        got=name,
        wanted=f"one of {', '.join(kind.__name__ for kind in neurons)}, SumPool2d, layers of torch.nn",
        way_out=_WAYS_OUT.get(name, ""),
    )


def _sum_pool(module: Any, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    """An LPPool2d of power 1."""
    kernel = pair(module.kernel_size, 2)
    if module.ceil_mode:
        raise refusal(
            path, "ceil_mode", "NIR drops the rest of a row", got=True, wanted="False", way_out="Crop or pad."
        )
    stride = kernel if module.stride is None else pair(module.stride, 2)
    return nir.SumPool2d(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.zeros(2, dtype=int))


def _run(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    given = given_to(root, flow, inputs)
    steps, batch = next(iter(given.values())).shape[:2]
    parts: list[Any] = list(root.modules())
    for part in parts:
        if hasattr(part, "reset_states"):
            part.reset_states()
        for name, size in (("num_timesteps", steps), ("batch_size", batch)):
            if hasattr(part, name):
                setattr(part, name, size)
    return at_once(flow, given, lambda whole: root(*whole.values()))


def _connection(connect: Any, name: str, shape: Shape) -> nir.NIRNode | None:
    """The node from a population to itself; None where it does not fit."""
    try:
        node = LAYERS[type(connect)](connect, name, shape, 1)
        return node if node is not None and kind_of(node).output_shape(node, shape) == shape else None
    except (ShapeError, UnsupportedError):
        return None


def _recurrent(layer: Any, path: str, shape: Shape, dt: float) -> Piece:
    """The neuron with ``rec_connect`` on an edge back, which delivers 0 at the first step as Sinabs does."""
    piece = _neuron(layer, path, shape, dt)
    name, connect = f"{path}.rec_connect", layer.rec_connect
    node = _connection(connect, name, shape) if type(connect) in _CONNECTS else None
    if node is None:
        raise refusal(
            path,
            "rec_connect",
            "recurrent weights that do not fit the population, or are no layer of weights",
            got=f"{connect} for shape {shape}",
            wanted=f"one of {', '.join(kind.__name__ for kind in _CONNECTS)}, from shape {shape} to the same",
        )
    piece.nodes[name] = node
    piece.edges += [(piece.spikes, name), *((name, inlet) for inlet in piece.inlet)]
    return piece


def _neuron(layer: Any, path: str, shape: Shape, dt: float) -> Piece:
    if layer.min_v_mem is not None:
        raise refusal(
            path,
            "min_v_mem",
            "NIR's membranes have no lower bound",
            got=float(layer.min_v_mem),
            wanted="None",
            way_out="Train without it.",
        )
    keep = spread(layer.alpha_mem_calculated, "tau_mem", path, shape)
    alpha_syn = layer.alpha_syn_calculated
    alpha = None if alpha_syn is None else spread(alpha_syn, "tau_syn", path, shape)
    # 1 - alpha in float32, as Sinabs has it
    gain = (np.float32(1) - keep.astype(np.float32)).astype(np.float64) if layer.norm_input else np.ones(shape)
    fires, metadata = ({}, {}) if layer.spike_fn is None else _fires(layer, path, shape)
    update = Update(keep, gain, alpha, alpha, fires, metadata, ("tau_mem", "tau_syn"))
    return piece_of(update, path, dt)


def _fires(layer: Any, path: str, shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    name = getattr(layer.spike_fn, "__name__", type(layer.spike_fn).__name__)
    if name != "SingleSpike":
        raise refusal(
            path,
            "spike_fn",
            "a neuron may spike several times in one step, and a NIR spike is 1",
            got=name,
            wanted="SingleSpike",
            way_out="Train with spike_fn=sinabs.activation.SingleSpike, or with a shorter step.",
        )
    given = spread(layer.spike_threshold, "spike_threshold", path, shape)
    threshold, reset = just_below(given), type(layer.reset_fn).__name__
    if reset == "MembraneSubtract":
        value = layer.reset_fn.subtract_value
        taken = given if value is None else spread(value, "subtract_value", path, shape)
        return {"v_threshold": threshold, "v_reset": threshold - taken}, {"reset": "subtract"}
    if reset != "MembraneReset" or layer.reset_fn.reset_value != 0:
        raise refusal(
            path,
            "reset_fn",
            "Sinabs adds reset_value to every neuron, whether it spiked or not"
            if reset == "MembraneReset"
            else "is no reset of Sinabs'",
            got=f"MembraneReset({layer.reset_fn.reset_value})" if reset == "MembraneReset" else reset,
            wanted="MembraneSubtract() or MembraneReset(0)",
        )
    return {"v_threshold": threshold, "v_reset": np.zeros(shape)}, {"reset": "zero"}
