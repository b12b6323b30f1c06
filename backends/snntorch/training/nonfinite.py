"""Where a number stopped being one: the first step and node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.finite import first_wrong
from hasn.errors import InputError, TrainingError
from hasn.program.cycles import cycles
from hasn.program.model import Connection

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.network import TrainedNetwork


def stop_at_loss(network: TrainedNetwork, batches: Sequence[Batch], step: int, loss: float) -> TrainingError:
    """What to raise for a loss that is not finite: with the first node whose state is not."""
    _at_node(network, batches, step, "loss", loss)
    return TrainingError(
        f"the loss is not finite at step {step}, though every node's state is",
        parameter="loss",
        got=loss,
        way_out="Look at the loss function, at its regularisers, and at the labels that it is given.",
    )


def stop_at_validation(network: TrainedNetwork, batch: Batch, step: int, loss: float) -> None:
    """Raise for a validation loss that is not finite, if some node's state is not; a loss may be so by itself."""
    _at_node(network, [batch], step, "validation loss", loss)


def stop_at_gradient(network: TrainedNetwork, batches: Sequence[Batch], step: int) -> TrainingError:
    """What to raise for a gradient that is not finite. A NaN in a voltage never spikes, so the loss may not show it."""
    import torch

    _at_node(network, batches, step, "gradient", None)
    found = {name: p.grad for name, p in network.parameters.items() if p.grad is not None}
    wrong = [name for name, grad in found.items() if not torch.isfinite(grad).all()]
    steps = max(batch.steps for batch in batches) if batches else 0
    loops = _recurrent(network)
    through = f"backpropagation through {steps} steps"
    through += f" and the recurrent weights of {', '.join(loops)}" if loops else ""
    smaller = ["smaller recurrent weights"] if loops else []
    smaller += ["fewer steps", "a surrogate of a gentler slope", "precision='float64'"]
    return TrainingError(
        f"the gradient is not finite at step {step}, though the loss and every node's state are: "
        f"{through} can make it grow beyond {_kind(network)}",
        parameter=", ".join(wrong),
        got=f"T = {steps}",
        way_out=f"Look at the loss function and its regularisers; else try {', '.join(smaller)}. "
        "clip cannot help: it scales a gradient that is finite.",
    )


def _recurrent(network: TrainedNetwork) -> list[str]:
    """Trained connections that lie in cycles."""
    program = network.program
    edges = [(edge.source, edge.target) for edge in program.edges]
    loops = {name for group in cycles([node.name for node in program.nodes], edges) for name in group if len(group) > 1}
    trained = set(network.owners.values())
    return [step.name for step in program.of(Connection) if step.name in loops & trained]


def _kind(network: TrainedNetwork) -> str:
    return str(network.module.like.dtype).removeprefix("torch.")


def _at_node(network: TrainedNetwork, batches: Sequence[Batch], step: int, what: str, got: object) -> None:
    for batch in batches:
        found = first_non_finite(network, batch)
        if found is not None:
            node, t = found
            if node in batch.inputs:
                raise _at_input(network, batch, node, step)
            raise TrainingError(
                f"the {what} is not finite at step {step}: this node's state is the first that is not, "
                f"at time step {t}",
                node=node,
                parameter=what,
                got=got,
                way_out="Look at the inputs and the learning rate; clip=1.0 bounds a step.",
            )


def _at_input(network: TrainedNetwork, batch: Batch, node: str, step: int) -> InputError:
    """An Input's value that is not finite in the precision of training: the data are to blame, not the gradient."""
    dtype = next(iter(network.parameters.values())).dtype
    inner = str(dtype).removeprefix("torch.")
    place = first_wrong(batch.inputs[node].to(dtype))
    return InputError(
        f"the data of update {step} have a value that {inner} does not hold",
        node=node,
        parameter="data",
        got=None if place is None else f"{float(batch.inputs[node][place])} at step {place[0]}, sample {place[1]}",
        wanted="finite numbers",
        way_out="Clean or scale the data first, or drop the sample.",
    )


def first_non_finite(network: TrainedNetwork, batch: Batch) -> tuple[str, int] | None:
    """(node, time step) of the first value or state that is not finite, in the order of evaluation."""
    import torch

    from hasn.backends.snntorch.overflow import first_not_finite

    module: Any = network.module
    with torch.no_grad():
        network.learnable.apply(module)
        return first_not_finite(module, module.start(batch.size), module.inputs_of(dict(batch.inputs)), every=True)
