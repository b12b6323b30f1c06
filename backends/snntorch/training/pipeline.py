"""`hasn.training.pipelined`: train a graph that exceeds one device, cut in stages, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nir

from hasn.backend import require_backend
from hasn.backends.snntorch.training.choice import learned
from hasn.backends.snntorch.training.fits import loss_of
from hasn.backends.snntorch.training.losses import Loss
from hasn.backends.snntorch.training.network import BACKEND
from hasn.backends.snntorch.training.pipeline_group import Workers, local_device, processes
from hasn.backends.snntorch.training.pipeline_options import PipelineOptions
from hasn.backends.snntorch.training.pipeline_trainer import Pipeline
from hasn.errors import OptionError
from hasn.ir.lower import lower
from hasn.program.model import Program, Sink
from hasn.program.stages import cut


def pipelined(
    graph: nir.NIRGraph,
    *,
    stages: int | Sequence[str] | None = None,
    balance: str = "parameters",
    micro_batches: int = 4,
    pipeline: str = "1f1b",
    loss: Any = "rate",
    optimizer: str | Callable[[Any], Any] = "adam",
    learning_rate: float = 1e-3,
    schedule: Callable[[Any], Any] | None = None,
    clip: float | None = None,
    learn: str | Sequence[str] | Mapping[str, str] = (),
    timeout: float = 300.0,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str = "float32",
    device: Any = None,
    **backend_options: Any,
) -> Pipeline:
    """Cut a graph in stages, one a process under torchrun, and make it ready to train (torch.distributed.pipelining).

    Every process calls this with the same arguments. A stage holds its own weights, their gradients and the optimizer's
    state on its own device, and passes whole sequences on, a micro-batch at a time (Huang et al., GPipe, NeurIPS 2019).
    Updates are those of one process with the same batch, whatever the stages and micro-batches, but for the order in
    which floating-point sums are taken.

    Args:
        graph: the network; not changed.
        stages: how many; or names of the nodes with which the second, third ... begin; default: one a process. See
            :func:`hasn.program.stages.cut`.
        balance: what is shared evenly among a number of stages: "parameters" or "synapses" (products of a step).
        micro_batches: parts of a batch that are in different stages at the same time. A batch that they do not divide
            is filled up with samples that count nothing.
        pipeline: "1f1b" (a stage goes backwards as soon as it can, and keeps fewer micro-batches; Narayanan et al.,
            PipeDream, SOSP 2019) or "gpipe" (all forwards, then all backwards).
        loss, optimizer, learning_rate, schedule, clip, learn: see :func:`hasn.train`. Each stage has an optimizer of
            its own parameters; ``clip`` bounds the norm over all stages.
        timeout: seconds that a process waits for another, before it ends with an error.
        dt, method, reset, timing, precision: see :func:`hasn.compile`.
        device: of this process; default: the GPU of its LOCAL_RANK, or the CPU.
        **backend_options: the backend's: ``surrogate="fast_sigmoid"`` ...

    Raises:
        OptionError: other processes than stages, an option that does not exist or does not fit the graph.
        GraphError: the graph is broken, or is not the same in every process.
        BackendUnavailable: torch or snnTorch is not installed, or torch is too old.
    """
    plugin = require_backend(BACKEND, precision)
    program = lower(graph, dt=dt, method=method, reset=reset, timing=timing)
    options = PipelineOptions(
        micro_batches, pipeline, optimizer, learning_rate, schedule, clip, _kinds(learn), timeout
    )  # fmt: skip
    for name in backend_options:
        if name not in plugin.options():
            wanted = ", ".join(plugin.options())
            raise OptionError("neither training nor the backend has such an option", parameter=name, wanted=wanted)
    if not program.of(Sink):
        raise OptionError("the graph has no Output, so no loss", parameter="graph")
    chosen, running = _loss(loss, program), processes()
    parts = cut(program, running if stages is None else stages, balance)
    options.fit(parts, running)
    from hasn.backends.snntorch.training.pipeline_stage import pipelining

    pipelining()
    place = local_device() if device is None else device
    made = {"device": place, **backend_options}
    return Pipeline(
        graph, program, parts, Workers(place, timeout), chosen, options,
        lambda part: plugin.compile(part, graph, precision, **made),
    )  # fmt: skip


def _kinds(learn: Any) -> dict[str, Any]:
    """Kinds that every node of the graph learns: each stage has an optimizer of its own."""
    found = learned(learn)
    for kind, share in found.items():
        if not isinstance(share, str):
            got, way_out = f"{kind} of some nodes", "hasn.train does, on one device."
            raise OptionError("a pipeline learns of all nodes", parameter="learn", got=got, way_out=way_out)
    return found


def _loss(chosen: Any, program: Program) -> Loss:
    """A loss that the last stage can compute of its micro-batches alone."""
    loss = loss_of(chosen, program)
    if loss.weighs or loss.parts is not None or loss.reads != "output":
        raise OptionError(
            "a pipeline's loss is a plain mean over the samples of what the Outputs show",
            parameter="loss",
            got=loss.name,
            wanted="no class weights, no ignored labels, no membranes, no loss of each Output",
            way_out="hasn.train has them, on one device.",
        )
    return loss
