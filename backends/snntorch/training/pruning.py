"""Connections that are pruned: weights that stay 0 while a network trains, and in the graph that comes back.

Gradual magnitude pruning (Zhu & Gupta, To prune, or not to prune: exploring the efficacy of pruning for model
compression, 2017) takes more away the longer training lasts, of each connection the weights of the least magnitude:

    s_t = s_f + (s_i - s_f) (1 - (t - begin) / (end - begin))^3        t = begin, begin + every, ..., end

A pruned weight gets no gradient, so none in the norm of ``clip`` either, and is set to 0 after every update, whatever
momentum would have done with it. It is never taken back. The node says ``metadata["pruned"] = True``: its weights that
are 0 are pruned, which the next training holds to.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from hasn.backends.snntorch.training.choice import chosen_by, names, require
from hasn.errors import OptionError, ShapeError
from hasn.ir.pruned import is_marked, mark

if TYPE_CHECKING:
    from torch import Tensor

#: In place of masks: what is 0 when training begins.
ZEROS = "zeros"


@dataclass(frozen=True)
class Pruning:
    """Gradual magnitude pruning; see the module.

    Attributes:
        final: share of each connection's weights that is pruned in the end, s_f.
        end: the update after which it is reached.
        begin: the update after which pruning begins; 0: before the first.
        every: updates from one to the next.
        initial: the share with which it begins, s_i.
        nodes: names or patterns of the connections; None: all whose weights train.
    """

    final: float
    end: int = field(kw_only=True)
    begin: int = field(default=0, kw_only=True)
    every: int = field(default=100, kw_only=True)
    initial: float = field(default=0.0, kw_only=True)
    nodes: str | Sequence[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._require("final", _is_number(self.final) and 0 < self.final < 1, "a share, 0 < final < 1")
        good = _is_number(self.initial) and 0 <= self.initial <= self.final
        self._require("initial", good, "a share, 0 <= initial <= final")
        self._require("begin", _is_whole(self.begin) and self.begin >= 0, "an integer >= 0")
        self._require("end", _is_whole(self.end) and self.end > self.begin, f"an integer > begin={self.begin}")
        self._require("every", _is_whole(self.every) and self.every >= 1, "an integer >= 1")
        if self.nodes is not None:
            object.__setattr__(self, "nodes", names(self.nodes, "pruning"))

    def _require(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise OptionError("no such Pruning", parameter=name, got=repr(getattr(self, name)), wanted=wanted)

    def is_due(self, update: int) -> bool:
        """Whether something is pruned after an update."""
        return self.begin <= update <= self.end and ((update - self.begin) % self.every == 0 or update == self.end)

    def share(self, update: int) -> float:
        """s_t, from ``begin`` to ``end``."""
        left = 1 - (update - self.begin) / (self.end - self.begin)
        return self.final + (self.initial - self.final) * left**3


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def written(masks: Any) -> Any:
    """What a user wrote as ``masks``, in arrays of bools: {name: True where a weight is kept}, "zeros", or nothing.

    Raises:
        OptionError: something else.
    """
    if masks is None or (isinstance(masks, str) and masks == ZEROS):
        return masks
    if not isinstance(masks, Mapping):
        wanted = "{node: mask}, as of torch.nn.utils.prune, or 'zeros': what is 0 stays 0"
        raise OptionError("no masks", parameter="masks", got=repr(masks), wanted=wanted)
    found = {}
    for name, mask in masks.items():
        values = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            wanted = "1 where a weight is kept, 0 where it is pruned"
            raise OptionError("no mask", node=name, parameter="masks", got=_brief(values), wanted=wanted)
        found[name] = values.astype(bool)
    return found


def _brief(values: Any) -> str:
    others = [] if values.dtype.kind not in "biuf" else values[~np.isin(values, (0, 1))].tolist()
    return f"{others[0]!r}" if others else f"an array of {values.dtype}"


class Pruned:
    """Which weights of a network are pruned.

    Attributes:
        gone: "node.weight" -> True where it is pruned; of every weight of which some is, or will be.

    Args:
        weights: "node.weight" -> weights, trained or not.
        nodes: flat name -> NIR node.
        masks: see :func:`written`.
        pruning: what is pruned in the course of training.

    Raises:
        OptionError: names that mean nothing, or weights that do not train.
        ShapeError: a mask of another shape than its weights.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        nodes: Mapping[str, nir.NIRNode],
        masks: Any = None,
        pruning: Pruning | None = None,
    ) -> None:
        import torch

        self.weights, self.pruning = weights, pruning
        self.gone: dict[str, Tensor] = {}
        given = _by_weight(masks, weights, nodes) if isinstance(masks, Mapping) else {}
        for name, weight in weights.items():
            marked = masks == ZEROS or is_marked(nodes[_node(name)])
            if name in given:
                self.gone[name] = _inverse(given[name], weight, name)
            elif marked:
                self.gone[name] = weight.detach() == 0
        if masks == ZEROS and not any(bool(gone.any()) for gone in self.gone.values()):
            raise OptionError("no weight is 0", parameter="masks", got=repr(ZEROS), way_out="Pass {node: mask}.")
        self._growing = () if pruning is None else _chosen(pruning, weights)
        for name in self._growing:
            self.gone.setdefault(name, torch.zeros_like(weights[name], dtype=torch.bool))
        for name in self.gone:
            if weights[name].requires_grad:
                weights[name].register_hook(self._hook(name))  # type: ignore[no-untyped-call]  # torch has no types for it
        self.hold()
        self.advance(0)

    def _hook(self, name: str) -> Callable[[Tensor], Tensor]:
        return lambda grad: grad.masked_fill(self.gone[name], 0)

    def hold(self) -> None:
        """Set what is pruned to 0."""
        import torch

        with torch.no_grad():
            for name, gone in self.gone.items():
                self.weights[name].masked_fill_(gone, 0)

    def advance(self, update: int) -> None:
        """Prune what is due after an update."""
        if self.pruning is None or not self.pruning.is_due(update):
            return
        for name in self._growing:
            self.gone[name] = _least(self.weights[name].detach(), self.gone[name], self.pruning.share(update))
        self.hold()

    def is_done(self, update: int) -> bool:
        """Whether nothing more is pruned after an update."""
        return self.pruning is None or update >= self.pruning.end

    def mark(self, nodes: Mapping[str, nir.NIRNode]) -> None:
        """Say in the metadata of a graph's nodes that zeros of theirs are pruned."""
        for name, gone in self.gone.items():
            if bool(gone.any()):
                mark(nodes[_node(name)])

    def state(self) -> dict[str, Any]:
        """The masks."""
        return {name: gone.cpu().clone() for name, gone in self.gone.items()}

    def like(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Empty masks of these weights, as far as they are there."""
        import torch

        return {n: torch.zeros_like(self.weights[n], dtype=torch.bool) for n in names if n in self.weights}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` gave."""
        self.gone = {name: gone.to(self.weights[name].device) for name, gone in state.items()}


def warn_of_end(updates: int, pruning: Pruning | None) -> None:
    """Say that a training of so many updates ends before its pruning does."""
    if pruning is not None and updates < pruning.end:
        warnings.warn(
            f"pruning ends after update {pruning.end}, and training after about {updates}: the share of "
            f"{pruning.final} will not be reached, and no epoch is the best",
            RuntimeWarning,
            stacklevel=2,
        )


def _node(name: str) -> str:
    return name.rpartition(".")[0]


def _by_weight(
    masks: Mapping[str, Any], weights: Mapping[str, Tensor], nodes: Mapping[str, nir.NIRNode]
) -> dict[str, Any]:
    """Masks by "node.weight", which a user may have named by the node."""
    full = {_node(name): name for name in weights}
    for name in masks:
        if name not in full and name not in weights:
            wanted = ", ".join(full) or "a connection with weights"
            raise OptionError("no connection to prune", parameter="masks", got=repr(name), wanted=wanted)
    found = {full.get(name, name): mask for name, mask in masks.items()}
    for name in found:
        if not isinstance(nodes[_node(name)], nir.Linear | nir.Affine | nir.Conv1d | nir.Conv2d):
            raise OptionError(
                "a sparse connection has no mask of its own: its synapses have no order",
                node=_node(name),
                parameter="masks",
                way_out="Take the synapses out of the graph, or set their weights to 0 and pass masks='zeros'.",
            )
    return found


def _inverse(mask: Any, weight: Tensor, name: str) -> Tensor:
    import torch

    if mask.shape != tuple(weight.shape):
        raise ShapeError(
            "the mask has another shape than the weights",
            node=_node(name),
            parameter="masks",
            got=mask.shape,
            wanted=f"{tuple(weight.shape)}, as {name}",
        )
    return torch.from_numpy(~mask).to(weight.device)


def _chosen(pruning: Pruning, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    patterns = ("*",) if pruning.nodes is None else pruning.nodes
    require(patterns, weights, "pruning")
    found = [name for name in weights if chosen_by(patterns, name) is not None]
    trained = tuple(name for name in found if weights[name].requires_grad)
    frozen = [name for name in found if name not in trained]
    if frozen and (pruning.nodes is not None or not trained):
        why = "pruning chooses weights that do not train"
        way_out = "Leave them out of freeze, name them in learn, or give masks={node: mask}."
        raise OptionError(why, parameter="pruning", got=", ".join(frozen), way_out=way_out)
    return trained


def _least(weight: Tensor, gone: Tensor, share: float) -> Tensor:
    """A mask of so many weights: those that are gone, and then those of the least magnitude, the first of equals."""
    import torch

    count = max(int(gone.sum()), int(share * weight.numel() + 0.5))
    order = torch.argsort(weight.abs().masked_fill(gone, -1).flatten(), stable=True)
    made = torch.zeros_like(gone).flatten()
    made[order[:count]] = True
    return made.reshape(gone.shape)
