"""Which snnTorch neurons and settings NIR can say: tables, and the refusals they lead to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import snntorch
import torch
from torch import nn

from hasn.conversions.refuse import refusal
from hasn.errors import HasnError


@dataclass(frozen=True)
class Form:
    """What kind of neuron a snnTorch class is.

    Attributes:
        takes: the states that ``forward`` takes after the input.
        gives: what ``forward`` gives where the states are not hidden.
        synapse: it has a synaptic current with decay ``alpha``.
        recurrent: it feeds its spikes of the last step back to itself.
        capacitor: its leak is ``time_step / (R C)``, not ``beta``.
        resets: (reset_mechanism, reset_delay) that hasn's reset in the same step equals.
    """

    takes: tuple[str, ...]
    gives: tuple[str, ...]
    synapse: bool = False
    recurrent: bool = False
    capacitor: bool = False
    resets: tuple[tuple[str, bool], ...] = (("subtract", True), ("zero", False))


#: The neurons that can be converted. Another class, a subclass of these included, is refused by name.
FORMS: dict[type, Form] = {
    snntorch.Leaky: Form(("mem",), ("spk", "mem"), resets=(("subtract", True), ("zero", True), ("zero", False))),
    snntorch.Synaptic: Form(("syn", "mem"), ("spk", "syn", "mem"), synapse=True),
    # Lapicque has no reset_delay; it always waits.
    snntorch.Lapicque: Form(("mem",), ("spk", "mem"), capacitor=True, resets=(("subtract", True),)),
    snntorch.RLeaky: Form(("spk", "mem"), ("spk", "mem"), recurrent=True),
    # RSynaptic's forward in 1.0.0 fails with reset_delay=False (it reads its arguments, not its states).
    snntorch.RSynaptic: Form(
        ("spk", "syn", "mem"), ("spk", "syn", "mem"), synapse=True, recurrent=True, resets=(("subtract", True),)
    ),
}

#: Neurons that cannot, and why.
REFUSED = {
    "Alpha": "its membrane is the difference of two filters, which no NIR neuron has; train with Synaptic",
    "SLSTM": "an LSTM cell is no NIR primitive",
    "SConv2dLSTM": "an LSTM cell is no NIR primitive",
    "LeakyParallel": "it runs over the whole sequence without a reset; train with Leaky",
    "StateLeaky": "it filters the whole sequence at once; train with Leaky(reset_mechanism='none')",
    "LinearLeaky": "it filters the whole sequence at once; train with Leaky(reset_mechanism='none')",
    "AssociativeLeaky": "its state is a matrix that its inputs write, which no NIR neuron has",
    "DeltaLeaky": "it sends changes of its state, which no NIR neuron does",
}

_STATE_FUNCTIONS = {"subtract": "_base_sub", "zero": "_base_zero", "none": "_base_int"}
_WAYS_OUT_OF_RESET = {
    ("subtract", False): (
        "with reset_delay=False snnTorch subtracts once more, and adds it back, in the next step while mem is still "
        "above the threshold",
        "Set reset_delay=True (snnTorch's default), or reset_mechanism='zero'.",
    ),
    ("zero", True): (
        "delayed, snnTorch sets the whole of mem to 0 in the step after a spike and loses that step's input",
        "Use reset_delay=False where the neuron has it, or reset_mechanism='subtract'.",
    ),
    ("zero", False): (
        "snnTorch's own forward fails with reset_delay=False here",
        "Use reset_mechanism='subtract' with reset_delay=True.",
    ),
}


@dataclass(frozen=True)
class Setting:
    """A setting that must have one value, and what to do where it has not."""

    name: str
    holds: Callable[[Any], bool]
    wanted: str
    message: str
    way_out: str


_SETTINGS = (
    Setting(
        "inhibition",
        lambda value: not value,
        "False",
        "only the neuron with the highest membrane would spike, and no NIR node looks at its neighbours",
        "Train without it, or with lateral inhibitory weights.",
    ),
    Setting(
        "state_quant",
        lambda value: not value,
        "False",
        "NIR's states are real numbers",
        "Train without it: the integers of a chip are a matter of the backend that makes them.",
    ),
    Setting(
        "graded_spikes_factor",
        lambda value: bool((torch.as_tensor(value) == 1).all()),
        "1",
        "a NIR spike weighs 1",
        "Multiply the next layer's weights by it.",
    ),
)


def check_settings(module: Any, path: str) -> None:
    """Refuse what NIR cannot say.

    Raises:
        UnsupportedError: the setting, its value and the way out.
    """
    for setting in _SETTINGS:
        value = getattr(module, setting.name)
        if not setting.holds(value):
            got = value.detach().tolist() if isinstance(value, torch.Tensor) else value
            raise refusal(path, setting.name, setting.message, got=got, wanted=setting.wanted, way_out=setting.way_out)
    probe = torch.tensor([-1e3, -1.0, -1e-6, 0.0, 1e-6, 1.0, 1e3])
    with torch.no_grad():
        drawn = [module.spike_grad(probe) for _ in range(4)]  # one that draws at random differs in one of four
    if not all(torch.equal(spikes.to(probe.dtype), (probe > 0).to(probe.dtype)) for spikes in drawn):
        raise refusal(
            path,
            "spike_grad",
            "its forward pass is not 1[mem > threshold]",
            got=[round(float(x), 4) for x in drawn[0]],
            wanted="0 up to the threshold and 1 above",
            way_out="Use one of snntorch.surrogate.",
        )


def reset_of(module: Any, path: str) -> str | None:
    """hasn's name for the reset, or None for "none".

    Raises:
        UnsupportedError: this mechanism with this delay is not a reset in the same step.
    """
    mechanism, delay = str(module.reset_mechanism), bool(getattr(module, "reset_delay", True))
    held = [name for name, number in snntorch.SpikingNeuron.reset_dict.items() if number == module.reset_mechanism_val]
    if held != [mechanism] or module.state_function.__name__ != _STATE_FUNCTIONS[mechanism]:
        raise refusal(
            path,
            "reset_mechanism",
            "was changed after the neuron was made, and snnTorch mixes the old reset with the new one",
            got=f"{mechanism!r}, {held} in its buffer, and {module.state_function.__name__}",
            way_out="Make the neuron anew with this reset_mechanism.",
        )
    if mechanism == "none":
        return None
    form = FORMS[type(module)]
    if (mechanism, delay) not in form.resets:
        message, way_out = _WAYS_OUT_OF_RESET[mechanism, delay]
        raise refusal(
            path,
            "reset_mechanism",
            message,
            got=f"{mechanism!r} with reset_delay={delay} of {type(module).__name__}",
            wanted=" or ".join(f"{m!r} with reset_delay={d}" for m, d in form.resets),
            way_out=way_out,
        )
    return mechanism


def unknown_neuron(module: nn.Module, path: str) -> HasnError:
    """The refusal of a neuron that is not in :data:`FORMS`."""
    name = type(module).__name__
    known = ", ".join(kind.__name__ for kind in FORMS)
    base = next((kind.__name__ for kind in FORMS if isinstance(module, kind)), None)
    why = REFUSED.get(name, f"a subclass of {base} may compute anything" if base else "")
    return refusal(
        path, None, f"{name} cannot be said in NIR{': ' if why else ''}{why}", got=name, wanted=f"one of {known}"
    )
