"""snnTorch's surrogate gradients by name and parameters, so that modules pickle and torch.compile can follow them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snntorch import surrogate as surrogates
from torch import Tensor

from hasn.backends.snntorch.neurons import Surrogate
from hasn.errors import OptionError

NAMES = ("atan", "fast_sigmoid", "sigmoid", "triangular", "straight_through_estimator", "spike_rate_escape", "SFS")
_BY_CODE = {getattr(surrogates, name)().__code__: name for name in NAMES}


class Named:
    """A function of ``snntorch.surrogate``: ``v - threshold`` to 0 or 1, with a gradient.

    Attributes:
        name: the factory's.
        parameters: what it is called with, by name.
    """

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self.name, self.parameters = name, parameters
        self._function: Callable[[Tensor], Tensor] = getattr(surrogates, name)(**parameters)

    def __call__(self, x: Tensor) -> Tensor:
        """Spikes, by snnTorch's own function."""
        return self._function(x)

    def __reduce__(self) -> tuple[type[Named], tuple[str, dict[str, Any]]]:
        return Named, (self.name, self.parameters)


def named(spike_grad: Surrogate) -> Named | None:
    """The function by its name, if it is one of snnTorch's."""
    if isinstance(spike_grad, Named):
        return spike_grad
    code = getattr(spike_grad, "__code__", None)
    name = _BY_CODE.get(code)
    if code is None or name is None:
        return None
    cells = getattr(spike_grad, "__closure__", None) or ()
    return Named(name, dict(zip(code.co_freevars, (cell.cell_contents for cell in cells), strict=True)))


def spike_gradient(surrogate: Any) -> Surrogate:
    """A function of ``v - threshold`` that gives 0 or 1 and has a gradient.

    Args:
        surrogate: a name in ``snntorch.surrogate``, or such a function itself.

    Raises:
        OptionError: no such surrogate.
    """
    if callable(surrogate):
        given: Surrogate = surrogate
        return named(given) or given
    if surrogate not in NAMES:
        raise OptionError(
            "unknown surrogate gradient",
            parameter="surrogate",
            got=repr(surrogate),
            wanted=f"{', '.join(NAMES)}, or a function",
        )
    made: Surrogate = getattr(surrogates, surrogate)()
    return named(made) or made
