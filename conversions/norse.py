"""Norse networks to NIR, by their modules (norse 1.1).

Norse steps, with its time constants in 1/s and its own dt:

    LIFBoxCell, LIBoxCell   v <- v + dt*tau_mem_inv*(v_leak - v + x)
    LIFCell, LIF, LICell, LI
                            j = i + x,  v <- v + dt*tau_mem_inv*(v_leak - v + j),  i <- j - dt*tau_syn_inv*j
    LIFRefracCell           the same; after a spike v stands still for rho_reset steps
    IAFCell, IAF            v <- v + x
    ...Recurrent(Cell)      x = W x + V z[t-1], without biases;  LILinearCell: x = W x
    z = 1[v > v_th], then v <- v_reset (or v - v_th with reset_subtract); v starts at v_leak (IAF: at v_reset)

``j`` is NIR's current: it decays by ``1 - dt*tau_syn_inv`` before an input comes, which weighs 1: w_in = tau_syn/dt.
Norse's own exporter writes ``tau = dt / tau_inv`` (one dt too many), w_in = 1, r = 1 for IAFCell, and no v_reset, and
it knows Linear, Conv2d with a bias and four cells; it is not used.
"""

from __future__ import annotations

import inspect
from typing import Any

import nir
import numpy as np
from torch import Tensor, nn

from hasn.conversions.coefficients import Floats
from hasn.conversions.flow import Flow
from hasn.conversions.layers import LAYERS, array
from hasn.conversions.refuse import refusal
from hasn.conversions.running import at_once, by_steps, given_to
from hasn.conversions.tool import BATCH, Frame, NeuronBuilder, Tool
from hasn.conversions.traced import Steps, from_sample
from hasn.conversions.unroll import form
from hasn.conversions.update import Piece
from hasn.conversions.values import spread
from hasn.errors import HasnError
from hasn.program.model import Shape

_SEQUENCE: Frame = ("time", "batch")


def from_norse(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A Norse network as a NIR graph that fires the same spikes.

    Args:
        module: a ``SequentialState`` (nested or not), or another module whose forward torch.fx can follow, of Norse's
            LIF, LI and IAF neurons and of torch's layers: one step of cells, or whole sequences of ``LIF``, ``LI``,
            ``LIFRecurrent`` ... and ``Lift``; docs/conversions.md has the table. It is not changed.
        sample: an input as the module takes it: (batch, *shape), or (time, batch, *shape) for sequences.
        dt: seconds a step; the neurons must have the same.
        verify: run some random steps in Norse and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared); nodes are named by the
        modules' paths.

    Raises:
        UnsupportedError: a neuron, a layer or an operation that NIR cannot say, by its path, with the way out.
        InputError: the sample is none of this network's.
        TimeStepError: dt is not a finite number > 0.
        ImportError: Norse is not installed: ``pip install 'hasn[norse]'``.
    """
    return from_sample(module, _tool(), dt, sample, verify)


def _tool() -> Tool:
    from norse.torch.module.conv import LConv2d
    from norse.torch.module.lift import Lift
    from norse.torch.module.sequential import SequentialState

    cells, layers = _neurons()
    frames = dict.fromkeys(cells, BATCH) | dict.fromkeys([*layers, LConv2d], _SEQUENCE)
    neurons = cells | layers

    def is_own(module: nn.Module) -> bool:
        return type(module).__module__.startswith("norse.torch.module.")

    def is_neuron(module: nn.Module) -> bool:
        norse = any(kind.__module__.startswith("norse.torch.module.") for kind in type(module).__mro__)
        return norse and "state" in inspect.signature(module.forward).parameters

    return Tool(
        "Norse",
        neurons=neurons,
        is_neuron=is_neuron,
        unknown=lambda module, path: _unknown(module, path, neurons),
        run=_run,
        is_own=is_own,
        layers={**LAYERS, LConv2d: _lconv},
        states=lambda module: (("state",), ("spk", "state")),
        inside={SequentialState: _sequential, Lift: _lift},
        frames=(BATCH, _SEQUENCE),
        takes=lambda module: frames.get(type(module)),
        reframe=(
            "In a network over sequences, lift what takes one step at a time: norse.torch.Lift(module). In a network "
            "of one step, use cells."
        ),
        input_name="input",
        form=form("state"),
    )


def _neurons() -> tuple[dict[type, NeuronBuilder], dict[type, NeuronBuilder]]:
    """(those that take one step, those that take a sequence)."""
    import norse.torch.module.iaf as iaf
    import norse.torch.module.leaky_integrator as integrator
    import norse.torch.module.leaky_integrator_box as integrator_box
    import norse.torch.module.lif as lif
    import norse.torch.module.lif_box as lif_box
    import norse.torch.module.lif_refrac as refrac

    cells: dict[type, NeuronBuilder] = {
        lif_box.LIFBoxCell: _lif_box,
        lif.LIFCell: _lif,
        lif.LIFRecurrentCell: _recurrent(_lif),
        refrac.LIFRefracCell: _lif,
        refrac.LIFRefracRecurrentCell: _recurrent(_lif),
        integrator_box.LIBoxCell: _li_box,
        integrator.LICell: _li,
        integrator.LILinearCell: _recurrent(_li),
        iaf.IAFCell: _iaf,
    }
    layers: dict[type, NeuronBuilder] = {
        lif.LIF: _lif,
        lif.LIFRecurrent: _recurrent(_lif),
        refrac.LIFRefracRecurrent: _recurrent(_lif),
        integrator.LI: _li,
        iaf.IAF: _iaf,
    }
    return cells, layers


#: Neurons and modules that cannot be said, by how their names begin, and why.
_REFUSED = {
    "LIFAdEx": "its voltage rises exponentially",
    "LIFEx": "its voltage rises exponentially",
    "LSNN": "its threshold adapts in another order than hasn's AdaptiveLIF",
    "Izhikevich": "its voltage rises with its square",
    "CobaLIF": "its conductances multiply the voltage",
    "LIFMC": "its compartments are coupled to each other",
    "LIFCorrelation": "it learns while it runs",
    "RecurrentSequential": "it adds its last output to its input; use recurrent cells",
    "RegularizationCell": "it is part of a loss; take it out",
}


def _unknown(module: nn.Module, path: str, neurons: dict[type, NeuronBuilder]) -> HasnError:
    name = type(module).__name__
    base = next((kind.__name__ for kind in neurons if isinstance(module, kind)), None)
    why = next((why for start, why in _REFUSED.items() if name.startswith(start)), "")
    why = f"a subclass of {base} may compute anything" if base else why
    return refusal(
        path,
        None,
        f"{name} cannot be said in NIR{': ' if why else ''}{why}",
        got=name,
        wanted=f"one of {', '.join(kind.__name__ for kind in neurons)}, SequentialState, Lift",
    )


# --- containers


def _sequential(module: Any, steps: Steps, x: Any, state: Any = None) -> tuple[Any, list[Any]]:
    """SequentialState's forward, without the list of states that it writes into."""
    states: list[Any] = []
    hidden: list[Any] = []
    for i, (child, stateful) in enumerate(zip(module, module.stateful_layers, strict=True)):
        kept = None
        if stateful:
            given = child(x, None if state is None else state[i])
            x, kept = given[0], given[1]
        else:
            x = child(x)
        states.append(kept)
        hidden.append(x)
    return (hidden if module.return_hidden else x), states


def _lift(module: Any, steps: Steps, x: Any) -> Any:
    """Lift's forward for one step of its loop over time."""
    x, state = x if isinstance(x, tuple) else (x, None)
    step = steps.frame(x, _SEQUENCE, BATCH)
    if not module.is_stateful:
        return steps.frame(module.lifted_module(step), BATCH, _SEQUENCE)
    given = module.lifted_module(step, state)
    return steps.frame(given[0], BATCH, _SEQUENCE), given[1]


def _run(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    given = given_to(root, flow, inputs)
    if flow.frame != BATCH:
        return at_once(flow, given, lambda whole: root(*whole.values()))
    neurons = [part for part in root.modules() if flow.tool.is_neuron(part)]
    lone = type(root) is nn.Sequential and list(root) == neurons  # a cell by itself, which takes its state
    stood_in = flow.tool.stand_in(root) is not None
    taken = 1 if lone or stood_in else len(flow.arguments) - len(given)
    if neurons and not taken:
        raise refusal(
            "",
            "forward",
            "takes no state, so that every step starts at rest",
            wanted="the neurons' states among its arguments and behind what it returns",
            way_out="Use norse.torch.SequentialState in place of torch's Sequential, or pass the states on.",
        )
    module, states = root[0] if lone else root, [None] * taken  # type: ignore[index]

    def call(t: int, now: dict[str, Tensor]) -> Any:
        nonlocal states
        made = module(*now.values(), *states)
        states = made[1 : 1 + taken]
        return made

    return by_steps(flow, given, call)


def _lconv(module: Any, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    """A Conv3d whose last dimension is time, with a kernel of one step."""
    sizes = {name: tuple(getattr(module, name)[:2]) for name in ("stride", "padding", "dilation")}
    bias = np.zeros(module.out_channels) if module.bias is None else array(module.bias)
    return nir.Conv2d(
        input_shape=shape[-2:], weight=array(module.weight)[..., 0], bias=bias, groups=module.groups, **sizes
    )


# --- neurons


def _lif_box(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell.p, cell, path, shape, dt)
    fires, metadata = _fires(cell.p, path, shape)
    return _piece(path, nir.LIF(tau=tau, r=np.ones(shape), v_leak=leak, **fires), metadata, leak)


def _li_box(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell.p, cell, path, shape, dt)
    return _piece(path, nir.LI(tau=tau, r=np.ones(shape), v_leak=leak), {}, leak)


def _lif(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    p = getattr(cell.p, "lif", cell.p)
    leak, tau = _leak(p, cell, path, shape, dt)
    fires, metadata = _fires(p, path, shape)
    if p is not cell.p:  # counts down by 1 a step, and the neuron rests while the count is over 0
        metadata["refractory"] = dt * np.ceil(np.maximum(spread(cell.p.rho_reset, "rho_reset", path, shape), 0))
    return _piece(path, nir.CubaLIF(**_current(p, path, shape, dt, leak, tau), **fires), metadata, leak)


def _li(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell.p, cell, path, shape, dt)
    return _piece(path, nir.CubaLI(**_current(cell.p, path, shape, dt, leak, tau)), {}, leak)


def _iaf(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    fires, metadata = _fires(cell.p, path, shape)
    return _piece(path, nir.IF(r=np.full(shape, 1.0 / dt), **fires), metadata, fires["v_reset"])


def _recurrent(build: NeuronBuilder) -> NeuronBuilder:
    """With weights of the neuron's own: those of its input, and those from its spikes of the last step, if any."""

    def made(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
        weight = array(cell.input_weights)
        if shape != weight.shape[1:]:
            raise refusal(path, "input_size", "does not fit what arrives", got=shape, wanted=f"({weight.shape[1]},)")
        piece = build(cell, path, weight.shape[:1], dt)
        first = f"{path}.input_weights"
        piece.nodes[first] = nir.Linear(weight=weight)
        piece.edges.append((first, path))
        if hasattr(cell, "recurrent_weights"):
            back = f"{path}.recurrent_weights"
            piece.nodes[back] = nir.Linear(weight=array(cell.recurrent_weights))
            piece.edges += [(path, back), (back, path)]
        piece.inlet, piece.shape = [first], weight.shape[:1]
        return piece

    return made


def _current(p: Any, path: str, shape: Shape, dt: float, leak: Floats, tau_mem: Floats) -> dict[str, Any]:
    """The parameters of CubaLI and CubaLIF."""
    tau_syn = _tau(p, "tau_syn_inv", path, shape)
    return {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": np.ones(shape), "v_leak": leak, "w_in": tau_syn / dt}


def _tau(p: Any, name: str, path: str, shape: Shape) -> Floats:
    inverse = spread(getattr(p, name), name, path, shape)
    if not np.all(inverse > 0):
        raise refusal(path, name, "has no time constant", got=float(inverse.min()), wanted="> 0")
    return np.asarray(1.0 / inverse, dtype=np.float64)


def _leak(p: Any, cell: Any, path: str, shape: Shape, dt: float) -> tuple[Floats, Floats]:
    """(v_leak, tau_mem in seconds)."""
    if not np.isclose(float(cell.dt), dt, rtol=1e-6):
        raise refusal(
            path, "dt", "the cell steps with another dt", got=cell.dt, wanted=f"{dt:g}", way_out="Pass the cell's dt."
        )
    return spread(p.v_leak, "v_leak", path, shape), _tau(p, "tau_mem_inv", path, shape)


def _fires(p: Any, path: str, shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    method = getattr(getattr(p, "reset_method", None), "__name__", "reset_value")
    if method not in ("reset_value", "reset_subtract"):
        raise refusal(path, "reset_method", "is neither of Norse's", got=method, wanted="reset_value or reset_subtract")
    threshold = spread(p.v_th, "v_th", path, shape)
    if method == "reset_subtract":  # Norse takes v_th off, whatever v_reset is
        return {"v_threshold": threshold, "v_reset": np.zeros(shape)}, {"reset": "subtract"}
    return {"v_threshold": threshold, "v_reset": spread(p.v_reset, "v_reset", path, shape)}, {"reset": "zero"}


def _piece(path: str, node: nir.NIRNode, metadata: dict[str, Any], start: Any) -> Piece:
    node.metadata = {**metadata, **({"v_init": start} if np.any(start) else {})}
    return Piece(path, [path], nodes={path: node})
