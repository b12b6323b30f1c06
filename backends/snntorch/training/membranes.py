"""The membrane potentials that a loss reads: of the neurons behind an Output, before the reset, with their gradients.

After a reset the potential of a neuron that has just spiked says nothing; snnTorch's ``mem``, whose reset comes a step
later, is the one before it (Eshraghian et al., Proceedings of the IEEE 111, 2023, training by the membrane).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hasn.errors import OptionError
from hasn.program.maps import Identity
from hasn.program.model import Connection, Neurons, Program

if TYPE_CHECKING:
    from torch import Tensor


def behind(program: Program, output: str) -> str | None:
    """The population that an Output shows, through nodes that only reshape; None: it shows something else, or late."""
    edges = program.edges_into(output)
    source = program.node(edges[0].source) if len(edges) == 1 and not edges[0].delay else None
    if isinstance(source, Neurons):
        return source.name
    plain = isinstance(source, Connection) and isinstance(source.map, Identity) and source.delay is None
    return behind(program, source.name) if plain and source is not None else None


def populations(program: Program, outputs: Sequence[str]) -> dict[str, str]:
    """Output -> the population whose membrane potential a loss reads there.

    Raises:
        OptionError: it shows none.
    """
    found = {output: behind(program, output) for output in outputs}
    for output, name in found.items():
        if name is None:
            raise OptionError(
                "a loss reads a membrane potential, and this node shows no population's",
                node=output,
                parameter="loss",
                wanted="neurons alone before the Output, with nothing between them but Flatten",
            )
    return {output: name for output, name in found.items() if name is not None}


@contextmanager
def listening(module: Any, names: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """{population: its potential before the reset at every step, (batch, *shape)} of what runs inside.

    A hook takes the population out of the kernels, which do not keep the potential's gradient: it runs step by step.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in names}

    def hook(kept: list[Tensor]) -> Callable[[Any, Any], None]:
        def look(population: Any, given: tuple[Tensor, tuple[Tensor, ...]]) -> None:
            x, states = given
            kept.append(population.neuron.updated(x, *states)[1]["v"])

        return look

    handles = [module.population(name).register_forward_pre_hook(hook(kept)) for name, kept in found.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
