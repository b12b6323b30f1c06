"""SpikingJelly networks to NIR, by their modules (spikingjelly 2.0).

SpikingJelly steps, tau counted in steps:

    IFNode                       v <- v + x
    LIFNode, ParametricLIFNode   v <- v + (x - (v - v_reset))/tau      (decay_input=False: x is not divided by tau)
    CUBALIFNode                  c <- c_decay*c + x,  v <- v_decay*v + c
    z = 1[v >= v_threshold], then v <- v_reset; or v <- v - v_threshold where v_reset is None; v starts at v_reset

``v >= v_threshold`` becomes ``v >`` the next smaller float32. SpikingJelly's own exporter refuses the soft reset,
grouped convolutions and batch normalisation, and leaves out where v starts; it is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
from torch import Tensor, nn

from hasn.conversions.coefficients import Floats
from hasn.conversions.flow import Flow
from hasn.conversions.layers import BATCH_NORMS, LAYERS, ONE_AHEAD, WAYS_OUT, LayerBuilder
from hasn.conversions.refuse import refusal
from hasn.conversions.running import at_once, by_steps, given_to
from hasn.conversions.tool import BATCH, FLAT, Frame, NeuronBuilder, Tool
from hasn.conversions.traced import Steps, from_sample
from hasn.conversions.unroll import form
from hasn.conversions.update import Piece
from hasn.conversions.values import just_below, spread
from hasn.errors import HasnError
from hasn.program.model import Shape

_SEQUENCE: Frame = ("time", "batch")
_HOME = "spikingjelly.activation_based."
#: torch's layers that SpikingJelly has under the same name, with a step mode.
_LAYERS = ("Linear", "Conv1d", "Conv2d", "AvgPool2d", "Flatten")
_DROPOUTS = ("Dropout", "Dropout2d")
_NORMS = ("BatchNorm1d", "BatchNorm2d", "ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d")


def from_spikingjelly(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A SpikingJelly network as a NIR graph that fires the same spikes.

    Args:
        module: an ``nn.Sequential``, or another module whose forward torch.fx can follow, of IFNode, LIFNode,
            ParametricLIFNode, CUBALIFNode and of torch's or SpikingJelly's layers, in step mode "s" or "m";
            docs/conversions.md has the table. It is not changed.
        sample: an input as the module takes it: (batch, *shape), or (time, batch, *shape) in step mode "m".
        dt: seconds a step. SpikingJelly counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in SpikingJelly and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared); nodes are named by the
        modules' paths.

    Raises:
        UnsupportedError: a neuron, a layer or an operation that NIR cannot say, by its path, with the way out.
        InputError: the sample is none of this network's.
        TimeStepError: dt is not a finite number > 0.
        ImportError: SpikingJelly is not installed: ``pip install 'hasn[spikingjelly]'``.
    """
    return from_sample(module, _tool(), dt, sample, verify)


def _tool() -> Tool:
    from spikingjelly.activation_based import functional, layer

    neurons = _neurons()
    # A threshold-dependent norm is a norm whose weight starts at alpha*v_th.
    norms = (*BATCH_NORMS, *(getattr(layer, name) for name in _NORMS))

    def is_own(module: nn.Module) -> bool:
        return type(module).__module__.startswith((f"{_HOME}layer.", f"{_HOME}neuron."))

    def is_neuron(module: nn.Module) -> bool:
        return any(kind in neurons or kind.__module__.startswith(f"{_HOME}neuron.") for kind in type(module).__mro__)

    def takes(module: nn.Module) -> Frame | None:
        steps = {"s": BATCH, "m": _SEQUENCE}.get(getattr(module, "step_mode", ""))
        if is_neuron(module):
            return steps
        return steps if steps == _SEQUENCE and isinstance(module, (nn.Flatten, *ONE_AHEAD, *norms)) else None

    return Tool(
        "SpikingJelly",
        neurons=neurons,
        is_neuron=is_neuron,
        unknown=lambda module, path: _unknown(module, path, neurons),
        rest=functional.reset_net,
        run=_run,
        is_own=is_own,
        layers=_layers(),
        norms=norms,
        inside={
            layer.MultiStepContainer: lambda module, steps, x: _each_step(module, steps, x, BATCH),
            layer.SeqToANNContainer: lambda module, steps, x: _each_step(module, steps, x, FLAT),
            layer.StepModeContainer: _by_mode,
        },
        frames=(BATCH, _SEQUENCE),
        takes=takes,
        reframe=(
            "Set one step mode everywhere: spikingjelly.activation_based.functional.set_step_mode(net, 'm'), or 's'; "
            "take SpikingJelly's layers in place of torch's; and hand over a sample of that form."
        ),
        input_name="input",
        form=form(),
    )


def _neurons() -> dict[type, NeuronBuilder]:
    from spikingjelly.activation_based import neuron

    return {
        neuron.IFNode: _if,
        neuron.LIFNode: _lif,
        neuron.ParametricLIFNode: _parametric,
        neuron.CUBALIFNode: _cuba,
    }


def _layers() -> dict[type, LayerBuilder]:
    from spikingjelly.activation_based import layer

    same = {getattr(layer, name): LAYERS[getattr(nn, name)] for name in (*_LAYERS, *_DROPOUTS)}
    return {**LAYERS, **same}


#: Neurons and layers that cannot be said, by their names, and the way out.
_WAYS_OUT = {
    **WAYS_OUT,
    "AdaptiveAvgPool2d": "Use AvgPool2d with the kernel that it comes to for your input.",
    "WSConv2d": "Compute its weights once, and put them into a Conv2d.",
    "WSLinear": "Compute its weights once, and put them into a Linear.",
    "VotingLayer": "Leave it out, and take the mean of each class's outputs.",
    "SynapseFilter": "Use CUBALIFNode, which has a synaptic current.",
    "LinearRecurrentContainer": "NIR's recurrent weights go from spikes to the neuron's input; train without it.",
    "ElementWiseRecurrentContainer": "NIR's recurrent weights go from spikes to the neuron's input; train without it.",
}


def _unknown(module: nn.Module, path: str, neurons: dict[type, NeuronBuilder]) -> HasnError:
    name = type(module).__name__
    base = next((kind.__name__ for kind in neurons if isinstance(module, kind)), None)
    names = [kind.__name__ for kind in neurons]
    wanted = f"one of {', '.join((*names, *_LAYERS, *_DROPOUTS))}, batch normalisation behind weights"
    why = f": a subclass of {base} may compute anything" if base else ""
    return refusal(
        path, None, f"{name} cannot be said in NIR{why}", got=name, wanted=wanted, way_out=_WAYS_OUT.get(name, "")
    )


# --- containers


def _each_step(module: Any, steps: Steps, x: Any, frame: Frame) -> Any:
    """MultiStepContainer's loop over time, and SeqToANNContainer's time and batch in one, which neurons do not take."""
    return steps.frame(_in_turn(module, steps.frame(x, _SEQUENCE, frame)), frame, _SEQUENCE)


def _by_mode(module: Any, steps: Steps, x: Any) -> Any:
    if module.step_mode == "s":
        return _in_turn(module, x)
    return _each_step(module, steps, x, BATCH if module.stateful else FLAT)


def _in_turn(module: Any, x: Any) -> Any:
    for part in module:
        x = part(x)
    return x


# --- runs


def _run(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    given = given_to(root, flow, inputs)
    if flow.frame == BATCH:
        return by_steps(flow, given, lambda t, now: root(*now.values()))
    return at_once(flow, given, lambda whole: root(*whole.values()))


# --- neurons


def _if(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    return _piece(node, path, shape, lambda fires: nir.IF(r=np.full(shape, 1.0 / dt), **fires))


def _lif(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    return _leaky(node, spread(node.tau, "tau", path, shape), path, shape, dt)


def _parametric(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    return _leaky(node, 1.0 / spread(node.w.detach().sigmoid(), "w", path, shape), path, shape, dt)


def _leaky(node: Any, tau: Floats, path: str, shape: Shape, dt: float) -> Piece:
    r = np.ones(shape) if node.decay_input else tau
    leak = _v_reset(node, path, shape)
    return _piece(node, path, shape, lambda fires: nir.LIF(tau=tau * dt, r=r, v_leak=leak, **fires))


def _cuba(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    decays = {name: spread(getattr(node, name), name, path, shape) for name in ("c_decay", "v_decay")}
    for name, decay in decays.items():
        if not np.all((decay >= 0) & (decay < 1)):
            got = float(decay.min() if np.any(decay < 0) else decay.max())
            raise refusal(path, name, "has no time constant", got=got, wanted="0 <= decay < 1")
    tau_syn, tau_mem = (dt / (1.0 - decay) for decay in decays.values())
    options: dict[str, Any] = {"r": tau_mem / dt, "v_leak": np.zeros(shape), "w_in": tau_syn / dt}
    return _piece(node, path, shape, lambda fires: nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau_mem, **options, **fires))


def _v_reset(node: Any, path: str, shape: Shape) -> Floats:
    """0 where the reset is soft."""
    return spread(0.0 if node.v_reset is None else node.v_reset, "v_reset", path, shape)


def _piece(node: Any, path: str, shape: Shape, make: Callable[[dict[str, Floats]], nir.NIRNode]) -> Piece:
    if not getattr(node.surrogate_function, "spiking", True):
        raise refusal(path, "surrogate_function", "spiking=False gives real numbers", wanted="spiking=True")
    given = spread(node.v_threshold, "v_threshold", path, shape)
    threshold, start = just_below(given), _v_reset(node, path, shape)
    soft = node.v_reset is None
    made = make({"v_threshold": threshold, "v_reset": threshold - given if soft else start})
    made.metadata = {"reset": "subtract" if soft else "zero", **({"v_init": start} if np.any(start) else {})}
    return Piece(path, [path], nodes={path: made})
