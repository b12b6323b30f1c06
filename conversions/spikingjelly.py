"""SpikingJelly networks to NIR, by way of SpikingJelly's own exporter (spikingjelly 2.0).

SpikingJelly steps, tau counted in steps:

    IFNode                       v <- v + x
    LIFNode, ParametricLIFNode   v <- v + (x - (v - v_reset))/tau      (decay_input=False: x is not divided by tau)
    CUBALIFNode                  c <- c_decay*c + x,  v <- v_decay*v + c
    z = 1[v >= v_threshold], then v <- v_reset; or v <- v - v_threshold where v_reset is None; v starts at v_reset

Its exporter writes tau in seconds and r to match. It refuses the soft reset, which hasn keeps as metadata, and leaves
out where v starts; ``v >= v_threshold`` becomes ``v >`` the next smaller float32.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.conversions.exported import Builder, Tool, export, just_below, proved, rebuilt
from hasn.conversions.refuse import refusal
from hasn.conversions.update import Piece
from hasn.ir.timestep import check_dt
from hasn.program.model import Shape


def from_spikingjelly(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A SpikingJelly network as a NIR graph that fires the same spikes.

    Args:
        module: a module of IFNode, LIFNode, ParametricLIFNode, CUBALIFNode and of layers that SpikingJelly's exporter
            knows, in step mode "s" or "m". It is not changed.
        sample: an input as the module takes it: (batch, *shape), or (time, batch, *shape) in step mode "m".
        dt: seconds a step. SpikingJelly counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in SpikingJelly and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared);
        ``metadata["repairs"]`` lists what SpikingJelly's export had otherwise.

    Raises:
        UnsupportedError: a neuron or layer that NIR cannot say, or that the exporter does not know, by its path.
        TimeStepError: dt is not a finite number > 0.
        ImportError: SpikingJelly is not installed: ``pip install 'hasn[spikingjelly]'``.
    """
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    from hasn.conversions.verify import copied, require_plain, settled

    step = check_dt(dt)
    require_plain(module, verify)
    tool = Tool("SpikingJelly", _table(), _node_name)
    fixed = settled(copied(module))
    hard = copied(fixed)  # the exporter refuses a soft reset: it gets a hard one, which is mended below
    for part in hard.modules():
        if type(part) in tool.table and part.v_reset is None:
            part.v_reset = 0.0
    exported = export(tool, lambda: export_to_nir(hard, sample, dt=step))
    several = any(getattr(part, "step_mode", "s") == "m" for part in module.modules())
    graph = rebuilt(exported, fixed, tool, tuple(sample.shape[2 if several else 1 :]), step)
    if not verify:
        return graph
    return proved(graph, module, tool, lambda m, x: _run(m, x, several), "time first" if several else "steps")


def _run(module: Any, x: Any, several: bool) -> Any:
    """All steps from rest."""
    import torch
    from spikingjelly.activation_based import functional

    functional.reset_net(module)
    return module(x) if several else torch.stack([module(sample) for sample in x])


def _table() -> dict[type, Builder]:
    from spikingjelly.activation_based import neuron

    return {
        neuron.IFNode: _if,
        neuron.LIFNode: lambda node, path, shape, dt: _lif(node, float(node.tau), path, shape, dt),
        neuron.ParametricLIFNode: lambda node, path, shape, dt: _lif(
            node, 1.0 / float(node.w.detach().sigmoid()), path, shape, dt
        ),
        neuron.CUBALIFNode: _cuba,
    }


def _node_name(path: str) -> str:
    """torch.fx's name for a call of the module at ``path``."""
    name = path.replace(".", "_")
    return f"_{name}" if name[:1].isdigit() else name


def _if(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    return _piece(node, path, shape, lambda fires: nir.IF(r=np.full(shape, 1.0 / dt), **fires))


def _lif(node: Any, tau: float, path: str, shape: Shape, dt: float) -> Piece:
    leak = np.full(shape, 0.0 if node.v_reset is None else node.v_reset)
    r = np.full(shape, 1.0 if node.decay_input else tau)
    return _piece(node, path, shape, lambda fires: nir.LIF(tau=np.full(shape, tau * dt), r=r, v_leak=leak, **fires))


def _cuba(node: Any, path: str, shape: Shape, dt: float) -> Piece:
    decays = {"c_decay": node.c_decay, "v_decay": node.v_decay}
    for name, decay in decays.items():
        if not 0 <= decay < 1:
            raise refusal(path, name, "has no time constant", got=decay, wanted="0 <= decay < 1")
    tau_syn, tau_mem = (np.full(shape, dt / (1.0 - decay)) for decay in decays.values())
    options: dict[str, Any] = {"r": tau_mem / dt, "v_leak": np.zeros(shape), "w_in": tau_syn / dt}
    return _piece(node, path, shape, lambda fires: nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau_mem, **options, **fires))


def _piece(node: Any, path: str, shape: Shape, make: Any) -> Piece:
    if not getattr(node.surrogate_function, "spiking", True):
        raise refusal(path, "surrogate_function", "spiking=False gives real numbers", wanted="spiking=True")
    given = np.full(shape, float(node.v_threshold))
    threshold = just_below(given)
    soft = node.v_reset is None
    start = np.full(shape, 0.0 if soft else float(node.v_reset))
    made = make({"v_threshold": threshold, "v_reset": threshold - given if soft else start})
    made.metadata = {"reset": "subtract" if soft else "zero", **({"v_init": start} if np.any(start) else {})}
    name = _node_name(path)
    return Piece(name, [name], nodes={name: made})
