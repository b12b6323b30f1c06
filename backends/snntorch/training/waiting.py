"""Updates that wait until a node has gathered enough gradients: ``hasn.train(apply_after=...)``.

In a spiking network a silent layer passes no gradient back, so nodes learn from different numbers of batches. Here each
node p counts the batches b that gave it one, and is moved by their mean once they are K[p]:

    h[p, b] = 1 if the gradient of any of b's parts is not 0 in some element of p's parameters, else 0
    G[p] += sum over b of |b| dL_b/dp      n[p] += sum over b of h[p, b] |b|      c[p] += sum over b of h[p, b]
    if c[p] >= K[p]: the optimizer applies G[p] / n[p] to p;  G[p] = 0, n[p] = 0, c[p] = 0

with ``L_b`` the mean loss over the ``|b|`` samples of b in all workers, so that G is a sum over samples and the
gradient that is applied their mean. Parts are the workers' shares of a batch, and what memory has cut it into.
The sums run over the ``accumulate`` batches after which the workers add up, and only then a node is looked at: c may
exceed K by ``accumulate - 1``. A node that is not due is passed over by the optimizer: no momentum, no weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.gradients import Gradients, Seen
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor


class Waiting(Gradients):
    """Gathers gradients for each node until they are enough.

    Args:
        parameters: the trained ones.
        owners: parameter -> its node.
        after: K of every node, or {node: K}; 1 for the others.

    Raises:
        OptionError: no such node, or it has no trained parameters.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], owners: Mapping[str, str], after: int | Mapping[str, int]
    ) -> None:
        super().__init__(parameters)
        self.nodes = {node: [n for n in parameters if owners[n] == node] for node in dict.fromkeys(owners.values())}
        for name in after if isinstance(after, Mapping) else ():
            if name not in self.nodes:
                wanted = ", ".join(self.nodes)
                raise OptionError("no such node is trained", parameter="apply_after", got=repr(name), wanted=wanted)
        self.after = {node: after.get(node, 1) if isinstance(after, Mapping) else after for node in self.nodes}
        self.sums: dict[str, Tensor] = {}
        self.samples = dict.fromkeys(self.nodes, 0)
        self.counts = dict.fromkeys(self.nodes, 0)
        self._own: dict[str, Tensor] = {}
        self._seen: list[list[bool]] = []

    def clear(self) -> None:
        """See :class:`Gradients`."""
        super().clear()
        self._own, self._seen = {}, []

    def batch_done(self) -> None:
        """Look at a batch's gradients, and add them to those of the update."""
        self._seen.append([any(self._there(name) for name in names) for names in self.nodes.values()])
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                before = self._own.get(name)
                self._own[name] = parameter.grad if before is None else before.add_(parameter.grad)
                parameter.grad = None

    def _there(self, name: str) -> bool:
        gradient = self.parameters[name].grad
        return gradient is not None and bool(gradient.any())  # NaN counts as something

    def seen(self) -> Seen:
        """For each batch and node, whether this worker has a gradient."""
        return self._seen

    def gather(
        self, workers: Workers, seen: Sequence[Seen], samples: Sequence[int], refuse: Callable[[], None]
    ) -> None:
        """Add up the workers' gradients, and hand those of the nodes that have enough to the optimizer."""
        import torch

        found = [[any(worker[b][p] for worker in seen) for b in range(len(samples))] for p in range(len(self.nodes))]
        new = [name for some, names in zip(found, self.nodes.values(), strict=True) if any(some) for name in names]
        for name in new:
            self.parameters[name].grad = self._own.get(name)
        gradients = self._sum(workers, [self.parameters[name] for name in new])
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            refuse()
        for name, gradient in zip(new, gradients, strict=True):
            gradient.mul_(sum(samples))  # the gradient of the update's mean, as a sum over its samples
            self.sums[name] = self.sums[name].add_(gradient) if name in self.sums else gradient
        for node, some in zip(self.nodes, found, strict=True):
            self.counts[node] += sum(some)
            self.samples[node] += sum(size for size, counts in zip(samples, some, strict=True) if counts)
            self._hand_over(node)

    def _hand_over(self, node: str) -> None:
        due = self.counts[node] >= self.after[node]
        for name in self.nodes[node]:
            self.parameters[name].grad = self.sums.pop(name).div_(self.samples[node]) if due else None
        if due:
            self.counts[node] = self.samples[node] = 0

    def state(self) -> dict[str, Any]:
        """The gradients that wait, their samples and counts."""
        sums = {name: gradient.cpu().clone() for name, gradient in self.sums.items()}
        return {"sums": sums, "samples": dict(self.samples), "counts": dict(self.counts)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.sums = {name: x.to(self.parameters[name].device) for name, x in state["sums"].items()}
        self.samples, self.counts = dict(state["samples"]), dict(state["counts"])
