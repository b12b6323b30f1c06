"""Where a number stopped being one: the first step and node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from hasn.errors import TrainingError
from hasn.training.batches import Batch

if TYPE_CHECKING:
    from hasn.training.network import TrainedNetwork

_WAY_OUT = "Look at the inputs and the learning rate; clip=1.0 bounds a step."


def stop_at(network: TrainedNetwork, batch: Batch, step: int, loss: float) -> NoReturn:
    """Run a batch again, look at every node at every time step, and raise with the first that is not finite.

    Raises:
        TrainingError: always.
    """
    found = first_non_finite(network, batch)
    if found is None:
        raise TrainingError(
            f"the loss is not finite at step {step}, though every node's state is",
            parameter="loss",
            got=loss,
            way_out="Look at the loss function, at its regularisers, and at the labels that it is given.",
        )
    node, t = found
    raise TrainingError(
        f"the loss is not finite at step {step}: this node's state is the first that is not, at time step {t}",
        node=node,
        parameter="loss",
        got=loss,
        way_out=_WAY_OUT,
    )


def stop_at_gradient(network: TrainedNetwork, step: int) -> NoReturn:
    """Raise with the parameters whose gradients are not finite.

    Raises:
        TrainingError: always.
    """
    import torch

    wrong = [n for n, p in network.parameters.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    raise TrainingError(
        f"the gradient is not finite at step {step}, though the loss is",
        parameter=", ".join(wrong),
        way_out=_WAY_OUT,
    )


def first_non_finite(network: TrainedNetwork, batch: Batch) -> tuple[str, int] | None:
    """(node, time step) of the first value or state that is not finite, in the order of evaluation."""
    import torch

    module: Any = network.module
    with torch.no_grad():
        network.learnable.apply(module.like)
        inputs = module._inputs(dict(batch.inputs))
        state = module.start(batch.size)
        for t in range(batch.steps):
            values = module.advance({name: value[t] for name, value in inputs.items()}, state)
            for step in network.program.steps:
                seen = (values[step.name], *state.states.get(step.name, ()))
                if not all(bool(torch.isfinite(tensor).all()) for tensor in seen):
                    return step.name, t
        module.let_go()
    return None
