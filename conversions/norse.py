"""Norse modules to NIR, by way of Norse's own exporter (norse 1.1).

Norse steps, with its time constants in 1/s and its own dt:

    LIFBoxCell, LIBoxCell   v <- v + dt*tau_mem_inv*(v_leak - v + x)
    LIFCell                 i <- i + x,  v <- v + dt*tau_mem_inv*(v_leak - v + i),  i <- i - dt*tau_syn_inv*i
    IAFCell                 v <- v + x
    z = 1[v > v_th], then v <- v_reset (or v - v_th with reset_subtract); v starts at v_leak (IAF: at v_reset)

Its exporter writes ``tau = dt / tau_inv``, one factor dt too many; r = 1 for IAFCell, which is one 1/dt too few;
w_in = 1, where Norse's input is tau_syn/dt; and no v_reset.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.conversions.exported import Builder, Tool, export, proved, rebuilt, spread
from hasn.conversions.refuse import refusal
from hasn.conversions.update import Piece
from hasn.ir.timestep import check_dt
from hasn.program.model import Shape


def from_norse(module: Any, sample: Any, dt: float, verify: bool = True) -> nir.NIRGraph:
    """A Norse network as a NIR graph that fires the same spikes.

    Args:
        module: a ``SequentialState`` or another module of Norse's cells (``LIFBoxCell``, ``LIFCell``, ``LIBoxCell``,
            ``IAFCell``) and of layers that Norse's exporter knows (Linear, Conv2d with a bias). It is not changed.
        sample: one input of one step, (batch, *shape).
        dt: seconds a step; the cells must have the same.
        verify: run some random steps in Norse and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared);
        ``metadata["repairs"]`` lists what Norse's export had otherwise.

    Raises:
        UnsupportedError: a cell or a layer that NIR cannot say or that the exporter leaves out, by its path.
        TimeStepError: dt is not a finite number > 0.
        ImportError: Norse is not installed: ``pip install 'hasn[norse]'``.
    """
    from norse.torch.utils.export_nir import to_nir

    from hasn.conversions.verify import copied, require_plain, settled

    step = check_dt(dt)
    require_plain(module, verify)
    tool = Tool("Norse", _table())
    fixed = settled(copied(module))
    exported = export(tool, lambda: to_nir(_plain(fixed, tool), sample, dt=step))
    graph = rebuilt(exported, fixed, tool, tuple(sample.shape[1:]), step)
    return proved(graph, module, tool, _run) if verify else graph


def _run(module: Any, x: Any) -> Any:
    """All steps from rest."""
    import torch

    outputs, state = [], None
    for sample in x:
        given = module(sample) if state is None else module(sample, state)
        output, state = given if isinstance(given, tuple) else (given, None)
        outputs.append(output)
    return torch.stack(outputs)


def _plain(module: Any, tool: Tool) -> Any:
    """A copy with Norse's default parameters: its exporter fails on some, and hasn takes them from the cells."""
    from hasn.conversions.verify import copied

    plain = copied(module)
    for part in plain.modules():
        if type(part) in tool.table:
            part.p = type(part.p)()
    return plain


def _table() -> dict[type, Builder]:
    import norse.torch.module.iaf as iaf
    import norse.torch.module.leaky_integrator_box as integrator
    import norse.torch.module.lif as lif
    import norse.torch.module.lif_box as lif_box

    return {
        lif_box.LIFBoxCell: _lif_box,
        integrator.LIBoxCell: _li_box,
        lif.LIFCell: _lif,
        iaf.IAFCell: _iaf,
    }


def _lif_box(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell, path, shape, dt)
    fires, metadata = _fires(cell, path, shape)
    return _piece(path, nir.LIF(tau=tau, r=np.ones(shape), v_leak=leak, **fires), metadata, leak)


def _li_box(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell, path, shape, dt)
    return _piece(path, nir.LI(tau=tau, r=np.ones(shape), v_leak=leak), {}, leak)


def _lif(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    leak, tau = _leak(cell, path, shape, dt)
    tau_syn = 1.0 / spread(cell.p.tau_syn_inv, "tau_syn_inv", path, shape)
    fires, metadata = _fires(cell, path, shape)
    options: dict[str, Any] = {"r": np.ones(shape), "v_leak": leak, "w_in": tau_syn / dt}
    return _piece(path, nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, **options, **fires), metadata, leak)


def _iaf(cell: Any, path: str, shape: Shape, dt: float) -> Piece:
    fires, metadata = _fires(cell, path, shape)
    return _piece(path, nir.IF(r=np.full(shape, 1.0 / dt), **fires), metadata, fires["v_reset"])


def _leak(cell: Any, path: str, shape: Shape, dt: float) -> tuple[Any, Any]:
    """(v_leak, tau_mem in seconds)."""
    if not np.isclose(float(cell.dt), dt, rtol=1e-6):
        raise refusal(
            path, "dt", "the cell steps with another dt", got=cell.dt, wanted=f"{dt:g}", way_out="Pass the cell's dt."
        )
    return spread(cell.p.v_leak, "v_leak", path, shape), 1.0 / spread(cell.p.tau_mem_inv, "tau_mem_inv", path, shape)


def _fires(cell: Any, path: str, shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    method = getattr(getattr(cell.p, "reset_method", None), "__name__", "reset_value")
    if method not in ("reset_value", "reset_subtract"):
        raise refusal(path, "reset_method", "is neither of Norse's", got=method, wanted="reset_value or reset_subtract")
    threshold = spread(cell.p.v_th, "v_th", path, shape)
    if method == "reset_subtract":  # Norse takes v_th off, whatever v_reset is
        return {"v_threshold": threshold, "v_reset": np.zeros(shape)}, {"reset": "subtract"}
    return {"v_threshold": threshold, "v_reset": spread(cell.p.v_reset, "v_reset", path, shape)}, {"reset": "zero"}


def _piece(path: str, node: nir.NIRNode, metadata: dict[str, Any], start: Any) -> Piece:
    node.metadata = {**metadata, **({"v_init": start} if np.any(start) else {})}
    return Piece(path, [path], nodes={path: node})
