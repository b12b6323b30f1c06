"""Quantisation-aware training: what rounding has cost is trained back, with the chip's integers in the forward pass.

The forward pass is precision "loihi" bit for bit. In the backward pass all rounding is the identity (straight-through;
Bengio, Leonard & Courville, arXiv 1308.3432, 2013): of the weights to their grid (Hubara, Courbariaux, Soudry, El-Yaniv
& Bengio, JMLR 18, 2018, for weights of a few bits), of the decays, the wrap of u and the clip of v; the spike has a
surrogate gradient (Neftci, Mostafa & Zenke, IEEE Signal Proc. Mag. 36, 2019), taken at ``v / threshold - 1`` so that no
scale comes in. Scales, exponents, decays and thresholds stay; weights and biases that are there are trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError, OptionError
from hasn.nodes.values import array_of, native, unusable
from hasn.program.integers.model import GRADED_LIMIT
from hasn.signals import signals

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.program.model import Program

LOSSES = ("rate", "voltage")
#: Samples of the training data that are checked at a time.
_CHECKED = 256


@dataclass(frozen=True, eq=False)
class Training:
    """What to train on, and how. Data of the float network: ``hasn.quantise`` scales them.

    Attributes:
        inputs: (T, N, *shape), or {Input: such an array}; or a function of the epoch (0, 1, ...) that gives them, for
            data that are coded anew each time, N staying the same.
        labels: (N,) classes 0, 1, ..., each an element of the Output; what a loss of one's own takes: (N, ...).
        epochs: passes over the data.
        batch: samples a step.
        learning_rate: of Adam, at the start; it falls to 0 (cosine). A parameter moves by about this part of the root
            mean square of its array in a step, whatever the scale.
        loss: "rate": cross-entropy of the Output's spike counts; "voltage": cross-entropy of the largest voltages over
            time of an Output that does not spike, in units of their spread before training; or a function
            (outputs, labels) -> scalar tensor, with outputs (T, batch, *shape) of spikes or volts, or {Output: such}
            where there are several. None: "rate" or "voltage", as the Output spikes or not.
        surrogate: a name in ``snntorch.surrogate``, or such a function; of ``v / threshold - 1``.
        device: of torch.
    """

    inputs: Any
    labels: Any
    epochs: int = 10
    batch: int = 100
    learning_rate: float = 0.02
    loss: str | Callable[[Any, Any], Any] | None = None
    surrogate: Any = "atan"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise OptionError(
                    "no such number", parameter=f"train.{name}", got=repr(value), wanted="an integer >= 1"
                )
        rate = self.learning_rate
        number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
        if not number or not math.isfinite(rate) or rate <= 0:
            raise OptionError("no such rate", parameter="train.learning_rate", got=repr(rate), wanted="a number > 0")
        if self.loss is not None and not callable(self.loss) and self.loss not in LOSSES:
            wanted = f"{', '.join(LOSSES)}, None, or a function"
            raise OptionError("no such loss", parameter="train.loss", got=repr(self.loss), wanted=wanted)


# --- data


class TrainingData:
    """Checked inputs and labels, cut into batches of the chip's integers.

    Attributes:
        labels: (N, ...).
    """

    def __init__(self, made: QuantisedNetwork, training: Training) -> None:
        self._made, self._training = made, training
        self._program: Program = made.integers.network.program
        self.labels = _labels(training.labels)
        self._first = self._of_epoch(0)

    @property
    def samples(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def batches(self) -> int:
        """Batches an epoch."""
        return -(-self.samples // int(self._training.batch))

    def epoch(self, epoch: int, order: NDArray[np.int64]) -> Iterator[tuple[dict[str, NDArray[np.float64]], Any]]:
        """({Input: integers (T, batch, *shape)}, labels) of every batch, samples in this order."""
        arrays = self._first if epoch == 0 or not callable(self._training.inputs) else self._of_epoch(epoch)
        for start in range(0, self.samples, self._training.batch):
            chosen = order[start : start + self._training.batch]
            yield self._integers({name: value[:, chosen] for name, value in arrays.items()}), self.labels[chosen]

    def _of_epoch(self, epoch: int) -> dict[str, NDArray[Any]]:
        """{Input: (T, N, *shape)} as given, all of it checked."""
        given = self._training.inputs(epoch) if callable(self._training.inputs) else self._training.inputs
        if not isinstance(given, Mapping) and len(self._made.integers.inputs) == 1:
            given = {next(iter(self._made.integers.inputs)): given}
        if not isinstance(given, Mapping):
            signals(self._program, given)  # says what is wrong
        arrays = {str(name): _array(value, f"train.inputs {name}") for name, value in given.items()}
        for name, value in arrays.items():
            if value.ndim < 2 or value.shape[1] != self.samples:
                raise InputError(
                    "as many samples as labels are wanted", node=name, parameter="train.inputs", got=value.shape,
                    wanted=f"(T, {self.samples}, *shape): time, samples, neurons",
                )  # fmt: skip
        for start in range(0, self.samples, _CHECKED):
            self._integers({name: value[:, start : start + _CHECKED] for name, value in arrays.items()})
        return arrays

    def _integers(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
        found = {}
        for name, value in signals(self._program, arrays).values.items():
            scale = self._made.input_scales.get(name, 1.0)
            whole = np.asarray(np.rint(value * scale))
            if scale == 1.0 and np.any(whole != value):
                raise InputError(
                    "the calibration data of this Input are integers, and these are not", node=name,
                    parameter="train.inputs", got=float(value[whole != value][0]), wanted="data of the same kind",
                )  # fmt: skip
            if np.abs(whole).max() >= GRADED_LIMIT:
                raise InputError(
                    "beyond a graded spike's 24 bits", node=name, parameter="train.inputs",
                    got=float(np.abs(value).max()), wanted=f"within +-{(GRADED_LIMIT - 1) / scale:g}",
                )  # fmt: skip
            found[name] = whole
        return found


def _array(value: Any, parameter: str) -> NDArray[Any]:
    found = array_of(value)
    if found is None:
        raise InputError("not an array", parameter=parameter, got=unusable(value))
    return native(found)


def _labels(labels: Any) -> NDArray[Any]:
    found = _array(labels, "train.labels")
    if found.ndim < 1 or len(found) < 1 or found.dtype.kind not in "biuf":
        raise InputError(
            "no labels", parameter="train.labels", got=f"{found.dtype} {found.shape}", wanted="numbers (N, ...)"
        )
    return found.astype(np.int64) if found.dtype.kind == "u" else found  # of which torch has few
