"""Cross-entropy of classes as torch computes it: class weights, label smoothing, labels that count nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Entropy:
    """``L = sum_n w[y_n] l_n / sum_n w[y_n]``, ``l_n = -sum_c q_n[c] log softmax(s_n)[c]``, without what is ignored.

    ``q`` is 1 at the label, and with smoothing ``e`` it is ``(1 - e) 1[c = y] + e/C`` (each term weighted by ``w[c]``,
    as :class:`torch.nn.CrossEntropyLoss` has it; Szegedy et al., Rethinking the inception architecture, CVPR 2016).

    Attributes:
        weight: of each class; None: 1.
        label_smoothing: e, 0..1.
        ignore_index: a label that counts nothing; None: there is none.
    """

    weight: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    ignore_index: int | None = None

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(samples, classes) and (samples,) to a scalar; 0 where no label counts."""
        from torch.nn.functional import cross_entropy

        if self.plain:
            return cross_entropy(scores, labels.long())
        if not self.measure(labels)[0]:
            return scores.sum() * 0
        ignored = -100 if self.ignore_index is None else self.ignore_index
        weight = None if self.weight is None else scores.new_tensor(self.weight)
        return cross_entropy(scores, labels.long(), weight, ignore_index=ignored, label_smoothing=self.label_smoothing)

    def measure(self, labels: Tensor) -> tuple[float, float]:
        """The weight of some labels in a mean, and how many of them count."""
        labels = labels.flatten().long()
        if self.ignore_index is not None:
            labels = labels[labels != self.ignore_index]
        if self.weight is None:
            return float(len(labels)), float(len(labels))
        import torch

        return float(torch.tensor(self.weight, dtype=torch.float64)[labels.cpu()].sum()), float(len(labels))

    @property
    def plain(self) -> bool:
        """Whether every label counts alike."""
        return self.weight is None and self.ignore_index is None and not self.label_smoothing

    @property
    def weighs(self) -> bool:
        """Whether samples weigh differently in the mean."""
        return self.weight is not None or self.ignore_index is not None

    @property
    def parameters(self) -> tuple[float, ...]:
        """Numbers by which a checkpoint knows it; none of a plain one."""
        if self.plain:
            return ()
        ignored = math.nan if self.ignore_index is None else float(self.ignore_index)
        return (self.label_smoothing, ignored, *(self.weight or ()))


def entropy(
    weight: Sequence[float] | Tensor | None = None, label_smoothing: float = 0.0, ignore_index: int | None = None
) -> Entropy:
    """An :class:`Entropy` of what a user wrote.

    Raises:
        OptionError: a value that means nothing.
    """
    weights: tuple[float, ...] | None = None
    if weight is not None:
        weights = tuple(float(w) for w in weight)
        if not weights or not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
            wanted = "one finite number >= 0 a class, not all of them 0"
            raise OptionError("no class weights", parameter="weight", got=str(list(weights)), wanted=wanted)
    if isinstance(label_smoothing, bool) or not 0 <= label_smoothing <= 1:
        raise OptionError("no such share", parameter="label_smoothing", got=repr(label_smoothing), wanted="0..1")
    if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, int)):
        raise OptionError("no label", parameter="ignore_index", got=repr(ignore_index), wanted="an integer, or None")
    return Entropy(weights, float(label_smoothing), ignore_index)
