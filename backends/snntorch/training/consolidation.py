"""Against forgetting: what earlier tasks need of the parameters stays, as terms of the loss (docs/training.md)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hasn.backends.snntorch.training.options import check_not_negative, check_positive
from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.network import Activity

Values = Mapping[str, NDArray[Any]]


@runtime_checkable
class Watcher(Protocol):
    """A regulariser that looks at the updates: its methods are called by :class:`~.moving.Moving`."""

    def begin(self, parameters: Mapping[str, Tensor]) -> None:
        """A training begins with these parameters."""
        ...

    def before(self, parameters: Mapping[str, Tensor]) -> None:
        """An update is about to be made by the gradients that stand there."""
        ...

    def after(self, parameters: Mapping[str, Tensor]) -> None:
        """It has been made."""
        ...


class ElasticWeights:
    """``L = strength / 2 * sum_k F_k (theta_k - theta*_k)^2``: elastic weight consolidation.

    Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 114, 2017, equation 3. One for each
    task that has been learned; several add up.

    Args:
        anchor: theta*, name -> the parameters after the task; names are those of :attr:`Activity.parameters`.
        fisher: F, the diagonal of the Fisher information there.
        strength: lambda.

    Raises:
        OptionError: strength is no number >= 0.
    """

    def __init__(self, anchor: Values, fisher: Values, strength: float) -> None:
        check_not_negative("strength", strength)
        self.anchor = {name: np.array(value) for name, value in anchor.items()}
        self.fisher = {name: np.array(value) for name, value in fisher.items()}
        self.strength = float(strength)

    @classmethod
    def of(cls, graph: Any, data: Any, *, strength: float, **options: Any) -> ElasticWeights:
        """Of a graph as it stands, trained for a task, and the task's data; the options are :func:`.fisher.fisher`'s.

        ``ElasticWeights.of(result.graph, (spikes, labels), strength=100.0)``
        """
        from hasn.backends.snntorch.training.fisher import fisher

        check_not_negative("strength", strength)
        return cls(*fisher(graph, data, **options), strength)

    def __call__(self, activity: Activity) -> Any:
        """The term; it hangs on the parameters alone."""
        return self.strength / 2 * _pulled(activity.parameters, self.fisher, self.anchor)

    def __repr__(self) -> str:
        """By its numbers: a checkpoint knows it by them."""
        return f"ElasticWeights({self.strength!r}, {_digest(self.anchor):08x}, {_digest(self.fisher):08x})"


@dataclass(eq=False)
class SynapticIntelligence:
    """``L = strength * sum_k Omega_k (theta_k - theta*_k)^2``, where the path of training says what mattered.

    Zenke, Poole & Ganguli, Continual learning through synaptic intelligence, ICML 2017, equations 3 to 5. While a task
    is learned each parameter's share in the decrease of the loss adds up, ``omega_k = -sum g_k dtheta_k`` over the
    updates, with the gradient of the loss without this term; behind it ``Omega_k += omega_k / (Delta_k^2 + xi)`` with
    ``Delta_k`` what the task has moved it by. A share below 0 counts as 0: it would push the parameter away.

    Every :func:`hasn.train` that is given the same object is a task; it starts from the graph that the one before gave
    back. The first one is trained freely. One that starts from the parameters from which the last one started is that
    task, begun anew.

    Attributes:
        strength: c.
        xi: the damping, > 0, in the parameter's unit squared.

    Raises:
        OptionError: a number that makes no sense.
    """

    strength: float = 0.1
    xi: float = 1e-3

    def __post_init__(self) -> None:
        check_not_negative("strength", self.strength)
        check_positive("xi", self.xi)
        self._importance: dict[str, Tensor] = {}
        self._anchor: dict[str, Tensor] = {}
        self._path: dict[str, Tensor] = {}
        self._last: dict[str, tuple[Tensor, Tensor]] = {}  # gradient and value before the update

    @property
    def importance(self) -> dict[str, NDArray[Any]]:
        """Omega of the tasks that lie behind the present one."""
        return {name: value.cpu().numpy().copy() for name, value in self._importance.items()}

    @property
    def path(self) -> dict[str, NDArray[Any]]:
        """omega of the present task."""
        return {name: value.cpu().numpy().copy() for name, value in self._path.items()}

    def __call__(self, activity: Activity) -> Any:
        """The term; 0 in the first task."""
        return self.strength * _pulled(activity.parameters, self._importance, self._anchor)

    # --- what Moving tells it

    def begin(self, parameters: Mapping[str, Tensor]) -> None:
        """A task begins, and the one before lies behind."""
        import torch

        now = {name: value.detach().clone() for name, value in parameters.items()}
        if not self._anchor:
            self._importance = {name: torch.zeros_like(value) for name, value in now.items()}
        else:
            _require_same(now, self._anchor)
            anchor = {name: self._anchor[name].to(value) for name, value in now.items()}
            if not all(torch.equal(value, anchor[name]) for name, value in now.items()):
                for name, value in now.items():
                    share = self._path[name].to(value).clamp(min=0) / ((value - anchor[name]) ** 2 + self.xi)
                    self._importance[name] = self._importance[name].to(value) + share
        self._anchor = now
        self._path = {name: torch.zeros_like(value) for name, value in now.items()}

    def before(self, parameters: Mapping[str, Tensor]) -> None:
        """Note where an update starts, and the gradient of the loss without this term."""
        self._last = {}
        for name, value in parameters.items():
            if value.grad is not None:
                own = 2 * self.strength * self._importance[name] * (value.detach() - self._anchor[name])
                self._last[name] = value.grad.detach() - own, value.detach().clone()

    def after(self, parameters: Mapping[str, Tensor]) -> None:
        """Add what the update has taken off the loss."""
        for name, (gradient, was) in self._last.items():
            self._path[name] -= gradient * (parameters[name].detach() - was)


def _pulled(parameters: Mapping[str, Tensor], importance: Mapping[str, Any], anchor: Mapping[str, Any]) -> Any:
    """``sum_k importance_k (theta_k - anchor_k)^2``."""
    import torch

    _require_same(parameters, anchor)
    total: Any = 0.0
    for name, value in parameters.items():
        weight, home = (
            torch.as_tensor(of[name], dtype=value.dtype, device=value.device) for of in (importance, anchor)
        )
        total = total + (weight * (value - home) ** 2).sum()
    return total


def _require_same(found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse parameters that are not those of the task before."""
    shapes = [{name: tuple(value.shape) for name, value in of.items()} for of in (found, known)]
    for name in dict.fromkeys([*shapes[1], *shapes[0]]):
        got, wanted = (of.get(name, "no such parameter") for of in shapes)
        if got != wanted:
            raise OptionError(
                "the parameters are not those of the task before",
                parameter=f"regularisers: {name}",
                got=str(got),
                wanted=str(wanted),
                way_out="Go on with the graph of that task, with the same learn= and freeze=, and without a BatchNorm.",
            )


def _digest(values: Values) -> int:
    return zlib.crc32(b"".join(name.encode() + np.ascontiguousarray(v).tobytes() for name, v in sorted(values.items())))
