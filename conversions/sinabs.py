"""Sinabs modules to NIR, by way of Sinabs' own exporter (sinabs 3.1).

Sinabs steps, with its time constants counted in steps, ``alpha = exp(-1/tau)``:

    LIF       i <- alpha_syn*(i + x) (or i = x),  v <- alpha*v + (1 - alpha)*i      (i alone with norm_input=False)
    IAF       v <- v + i
    ExpLeak   as LIF, without spikes
    z = 1[v >= threshold] with SingleSpike, then v <- v - z*threshold (MembraneSubtract), or 0 (MembraneReset)

Its exporter writes tau in steps, not in seconds, which is one factor dt too few; r = 1 where an input of IAF weighs
1/dt; no synaptic current, no reset, no norm_input. ``v >= threshold`` becomes ``v >`` the next smaller float32.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.conversions.exported import Builder, Tool, export, just_below, proved, rebuilt, spread
from hasn.conversions.refuse import refusal
from hasn.conversions.update import Piece, Update, piece_of
from hasn.ir.timestep import check_dt
from hasn.program.model import Shape


def from_sinabs(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A Sinabs network as a NIR graph that fires the same spikes under hasn's Euler step.

    Args:
        module: a module of Sinabs' LIF, IAF, ExpLeak (the Squeeze forms included) and of layers that its exporter
            knows. It is not changed.
        sample: an input as the module takes it: (batch, time, *shape), or (batch*time, *shape) for Squeeze layers.
        dt: seconds a step. Sinabs counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in Sinabs and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared);
        ``metadata["repairs"]`` lists what Sinabs' export had otherwise.

    Raises:
        UnsupportedError: a layer or setting that NIR cannot say (several spikes in one step, a lower bound of the
            membrane), by its path.
        TimeStepError: dt is not a finite number > 0.
        ImportError: Sinabs is not installed.
    """
    from sinabs.nir import to_nir

    from hasn.conversions.verify import copied, require_plain, settled

    step = check_dt(dt)
    require_plain(module, verify)
    tool = Tool("Sinabs", _table())
    fixed = settled(copied(module))
    exported = export(tool, lambda: to_nir(_for_export(fixed), sample))
    squeezed = any(type(part).__name__.endswith("Squeeze") for part in module.modules())
    shape = tuple(sample.shape[1 if squeezed else 2 :])
    graph = rebuilt(exported, fixed, tool, shape, step)
    return proved(graph, module, tool, lambda m, x: _run(m, x, squeezed), "batch first") if verify else graph


def _run(module: Any, x: Any, squeezed: bool) -> Any:
    """All steps from rest, in the form that the layers take."""
    steps, batch = x.shape[:2]
    parts: list[Any] = list(module.modules())
    for part in parts:
        if hasattr(part, "reset_states"):
            part.reset_states()
        if hasattr(part, "num_timesteps") and hasattr(part, "batch_size"):
            part.batch_size, part.num_timesteps = batch, steps
    given = x.transpose(0, 1)
    made = module(given.flatten(0, 1) if squeezed else given)
    return made.reshape(batch, steps, *made.shape[1 if squeezed else 2 :]).transpose(0, 1)


def _for_export(module: Any) -> Any:
    """A copy, as the exporter runs it and moves its states; it reads tau_mem even where alpha_mem is trained."""
    from hasn.conversions.verify import copied

    ran = copied(module)
    for part in ran.modules():
        if getattr(part, "train_alphas", False):
            part.tau_mem = part.tau_mem_calculated.detach()
    return ran


def _table() -> dict[type, Builder]:
    import sinabs.layers as layers

    names = ("LIF", "LIFSqueeze", "IAF", "IAFSqueeze", "ExpLeak", "ExpLeakSqueeze")
    return {getattr(layers, name): _neuron for name in names}


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
