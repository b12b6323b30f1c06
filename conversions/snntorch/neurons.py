"""snnTorch 1.0's neurons as NIR nodes.

snnTorch steps (``z[t] = 1[mem[t] > threshold]``, beta and alpha clamped to 0..1, V the recurrent weights):

    Leaky       mem <- beta*mem + x
    Lapicque    mem <- (1 - time_step/(R C))*mem + (time_step/C)*x            (beta only says what C is)
    Synaptic    syn <- alpha*syn + x,  mem <- beta*mem + syn
    RLeaky, RSynaptic   the same with x + V z[t-1]

and NIR, with an Euler step of dt, is the same with ``1 - dt/tau = beta`` and ``r = tau/dt``. What differs is the reset:

    subtract, reset_delay=True   mem[t+1] = beta*mem[t] + x - z[t]*threshold: hasn's reset in the same step takes
                                 threshold/beta off, so that the decay leaves threshold
    subtract, reset_delay=False  subtracts again, and adds back, while mem is still above threshold: not in NIR
    zero, Leaky                  the decay leaves 0 of 0: one and the same with and without the delay
    zero, the others, delayed    the whole of mem[t+1] is 0, the input of that step with it: not in NIR
    none                         a leaky integrator and a Threshold
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import snntorch
from torch import nn

from hasn.conversions.coefficients import Floats
from hasn.conversions.layers import array
from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.settings import FORMS, check_settings, reset_of
from hasn.conversions.update import Piece, Update, piece_of
from hasn.program.model import Shape


def neuron_piece(module: Any, path: str, shape: Shape, dt: float) -> Piece:
    """The NIR nodes of a snnTorch neuron.

    Args:
        module: one of :data:`hasn.conversions.snntorch.settings.FORMS`.
        path: its path, which names the nodes.
        shape: its population, without batch.
        dt: seconds a step.

    Raises:
        UnsupportedError: a setting that NIR cannot say, with the way out.
    """
    form = FORMS[type(module)]
    check_settings(module, path)
    keep, gain = _membrane(module, path, shape)
    reset = reset_of(module, path)
    threshold = _spread(module.threshold, "threshold", path, shape)
    if reset is not None:
        _check_threshold(threshold, keep, reset, path)
    v_reset = threshold - threshold / keep if reset == "subtract" else np.zeros(shape)
    fires = {} if reset is None else {"v_threshold": threshold, "v_reset": v_reset}
    alpha = _decay(module.alpha, "alpha", path, shape) if form.synapse else None
    delay = bool(getattr(module, "reset_delay", True))
    metadata: dict[str, Any] = {"snntorch": type(module).__name__, "snntorch_reset_delay": delay}
    if reset is not None:
        metadata["reset"] = reset
    if form.capacitor:
        metadata |= {f"snntorch_{name}": float(getattr(module, name)) for name in ("R", "C", "time_step")}
    piece = piece_of(Update(keep, gain, alpha, fires=fires, metadata=metadata), path, dt)
    if reset is None:
        piece.spikes = f"{path}.fire"
        piece.nodes[piece.spikes] = nir.Threshold(threshold=threshold)
        piece.edges.append((path, piece.spikes))
        piece.membrane = path
    if form.recurrent:
        _add_recurrence(piece, module.recurrent, path, shape)
    return piece


def _membrane(module: Any, path: str, shape: Shape) -> tuple[Floats, Floats]:
    """(what the membrane keeps over a step, what an input adds), in float64 from the module's own floats."""
    if not FORMS[type(module)].capacitor:
        keep = _decay(module.beta, "beta", path, shape)
        return keep, np.ones(shape)
    rc = module.R * module.C
    keep = _spread(1 - module.time_step / rc, "R*C", path, shape)
    if np.any(keep <= 0):
        raise refusal(
            path,
            "R*C",
            "is no longer than time_step, so the membrane flips its sign at every step",
            got=f"{float(array(rc).min()):g}",
            wanted=f"> time_step = {float(module.time_step):g}",
            way_out="Take a smaller time_step.",
        )
    return keep, _spread(module.R * (1 / rc) * module.time_step, "C", path, shape)


def _decay(value: Any, parameter: str, path: str, shape: Shape) -> Floats:
    return np.clip(_spread(value, parameter, path, shape), 0.0, 1.0)  # as forward clamps it


def _spread(value: Any, parameter: str, path: str, shape: Shape) -> Floats:
    """One value for each neuron, as torch broadcasts it against (batch, *shape)."""
    values = array(value).astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise refusal(path, parameter, "has a value with no meaning", got=values, wanted="finite numbers")
    try:
        return np.broadcast_to(values, shape).copy()
    except ValueError:
        raise refusal(
            path, parameter, "is not one value for each neuron", got=values.shape, wanted=f"a number or shape {shape}"
        ) from None


def _check_threshold(threshold: Floats, keep: Floats, reset: str, path: str) -> None:
    if np.any(threshold < 0):
        raise refusal(
            path,
            "threshold",
            "is negative, where snnTorch resets a neuron that is at rest",
            got=float(threshold.min()),
            wanted=">= 0",
        )
    if reset == "subtract" and np.any(keep == 0):
        raise refusal(
            path,
            "beta",
            "of 0 with the delayed subtract reset: what is subtracted outlives the membrane it is subtracted from",
            got=0.0,
            wanted="> 0",
            way_out="Train with reset_mechanism='zero'.",
        )


def _add_recurrence(piece: Piece, recurrent: nn.Module, path: str, shape: Shape) -> None:
    """The weights from the spikes of the last step; their bias stands apart.

    The edge back delivers 0 at the first step (SEMANTICS), but snnTorch adds the bias at every step: so the bias is a
    node of its own, with weights of 0, beside the neuron's input.
    """
    name = f"{path}.recurrent"
    node, bias = _recurrent_node(recurrent, path, shape)
    piece.nodes[name] = node
    piece.edges += [(piece.spikes, name), *((name, inlet) for inlet in piece.inlet)]
    if bias is not None:
        piece.nodes[f"{name}_bias"] = bias
        piece.edges += [(f"{name}_bias", inlet) for inlet in piece.inlet]
        piece.inlet = [*piece.inlet, f"{name}_bias"]


def _recurrent_node(recurrent: Any, path: str, shape: Shape) -> tuple[nir.NIRNode, nir.NIRNode | None]:
    if isinstance(recurrent, nn.Linear) and shape == (recurrent.out_features,):
        bias = None if recurrent.bias is None else array(recurrent.bias)
        constant = None if bias is None or not bias.any() else nir.Affine(np.zeros((shape[0], shape[0])), bias)
        return nir.Linear(weight=array(recurrent.weight)), constant
    if isinstance(recurrent, nn.Conv2d) and len(shape) == 3 and shape[0] == recurrent.out_channels:
        bias = np.zeros(shape[0]) if recurrent.bias is None else array(recurrent.bias)
        common: dict[str, Any] = {"input_shape": shape[1:], "stride": 1, "dilation": 1}
        weights = nir.Conv2d(
            weight=array(recurrent.weight), bias=np.zeros(shape[0]), padding=recurrent.padding, groups=1, **common
        )
        zeros = np.zeros((shape[0], 1, 1, 1))
        return weights, nir.Conv2d(
            weight=zeros, bias=bias, padding=0, groups=shape[0], **common
        ) if bias.any() else None
    if type(recurrent).__name__ == "RecurrentOneToOne":
        return nir.Scale(scale=_spread(recurrent.V, "V", path, shape)), None
    raise refusal(
        path,
        "recurrent",
        "these recurrent weights do not fit the population, or are no snnTorch ones",
        got=f"{recurrent} for shape {shape}",
        wanted="linear_features, conv2d_channels or V of the layer's own size",
    )


def is_neuron(module: nn.Module) -> bool:
    """Whether snnTorch counts the module among its neurons (those that cannot be converted included)."""
    home = type(module).__module__
    return isinstance(module, snntorch.SpikingNeuron) or home.startswith(("snntorch._neurons", "snntorch._layers"))
