"""The loss that an option means, and whether it fits what a graph's Outputs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from hasn.backends.snntorch.training.losses import LOSSES, Loss, Several
from hasn.backends.snntorch.training.membranes import behind
from hasn.backends.snntorch.training.several import joined
from hasn.backends.snntorch.training.torch_losses import of_module
from hasn.errors import OptionError
from hasn.program.maps import Identity
from hasn.program.model import Connection, Neurons, Program, Sink, Threshold


def loss_of(chosen: Any, program: Program, output: str | None = None) -> Loss:
    """The loss that an option means, if it fits the graph's Output.

    Args:
        chosen: the option.
        program: of the graph.
        output: the Output that it is of; None: of the graph.

    Raises:
        OptionError: no such loss, or the Output shows something else than it reads.
    """
    sinks = [sink for sink in program.of(Sink) if output in (None, sink.name)]
    if isinstance(chosen, Mapping | Several):
        return joined(chosen, program, partial(loss_of, program=program))
    if isinstance(chosen, Loss):
        loss = chosen
    elif isinstance(chosen, type):
        raise OptionError(
            "a class and no loss", parameter="loss", got=chosen.__name__, wanted=f"{chosen.__name__}(...)"
        )
    elif callable(chosen):
        module = of_module(chosen, [_shown(program, sink.name) for sink in sinks])
        if module is None:
            name = str(getattr(chosen, "__qualname__", type(chosen).__name__))
            return Loss(name, chosen, None, classes=False)  # how it reads a class is not known
        loss = module
    elif isinstance(chosen, str) and chosen in LOSSES:
        loss = LOSSES[chosen]()
    else:
        wanted = f"{', '.join(LOSSES)}, or a function (outputs, labels)"
        raise OptionError("no such loss", parameter="loss", got=repr(chosen), wanted=wanted)
    if loss.wants is not None:
        loss = _fitted(loss, sinks, program)
    return loss


def _fitted(loss: Loss, sinks: list[Sink], program: Program) -> Loss:
    """The loss for one Output of classes."""
    if len(sinks) != 1 or len(sinks[0].shape) != 1:
        raise OptionError(
            f"the loss {loss.name!r} wants one Output, of classes",
            parameter="loss",
            got=", ".join(f"{sink.name} {sink.shape}" for sink in sinks) or "no Output",
            way_out="Flatten it, or pass {Output: loss}, or a function (outputs, labels).",
        )
    (sink,) = sinks
    weight = None if loss.entropy is None else loss.entropy.weight
    if weight is not None and len(weight) != sink.shape[0]:
        got, wanted = f"{len(weight)} weights", f"{sink.shape[0]}, one a class"
        raise OptionError("class weights of other classes", parameter="weight", got=got, wanted=wanted)
    shown = _shown(program, sink.name)
    if loss.wants == "voltages" and shown == "spikes" and behind(program, sink.name):
        loss = replace(loss, reads="membrane")
    elif loss.wants not in (shown, "any"):
        raise OptionError(
            f"the loss {loss.name!r} reads {loss.wants}, and this Output shows {shown}",
            node=sink.name,
            parameter="loss",
            got=repr(loss.name),
            wanted={"spikes": "rate, count or first-spike", "voltages": "membrane"}.get(shown, "a function"),
            way_out="hasn.training.cross_entropy reads them all." if shown == "sums" else None,
        )
    return loss


def _shown(program: Program, output: str) -> str:
    """ "spikes", "voltages", or else "sums": what an Output shows, through nodes that only reshape or delay."""
    sources = [program.node(edge.source) for edge in program.edges_into(output)]
    if len(sources) != 1:
        return "sums"
    source = sources[0]
    if isinstance(source, Threshold):
        return "spikes"
    if isinstance(source, Neurons):
        return "spikes" if source.spiking else "voltages"
    plain = isinstance(source, Connection) and isinstance(source.map, Identity)
    return _shown(program, source.name) if plain else "sums"
