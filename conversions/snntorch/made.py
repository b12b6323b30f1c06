"""Steps of a Program as torch layers and snnTorch neurons, or the reason why there is none."""

from __future__ import annotations

from typing import Any, TypeAlias

import nir
import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from hasn.backends.snntorch.connections import Scale, connection_module
from hasn.conversions.coefficients import Floats
from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.chain import Link
from hasn.conversions.snntorch.loops import recurrent_options, set_recurrent
from hasn.nodes.values import single
from hasn.program.maps import Identity, Pooling, Sparse
from hasn.program.model import Connection, Neurons

Layers: TypeAlias = list[tuple[str, nn.Module]]


class Membrane(nn.Module):
    """A leaky integrator without a threshold: gives its membrane potential, not spikes."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """One step: (batch, *shape), shape kept."""
        mem: Tensor = self.neuron(x)[-1]
        return mem


def connection_layers(step: Connection, node: nir.NIRNode) -> Layers:
    """The layer of a linear map; none for a relay."""
    if step.delay is not None or (isinstance(step.map, Sparse) and step.map.delay is not None):
        raise refusal(step.name, "delay", "torch has no layer that waits", way_out="Leave sequential out.")
    if isinstance(step.map, Identity):
        assert step.given is not None  # lowering says it of every step
        if step.given == step.shape:
            return []
        if not isinstance(node, nir.Flatten):
            raise refusal(step.name, None, "an Output of another shape has no layer of torch's")
        rank = len(step.given)
        start, end = single(node.start_dim) % rank + 1, single(node.end_dim) % rank + 1
        return [("", nn.Flatten(start, end))]
    if isinstance(step.map, Pooling) and all(
        low == high <= kernel // 2 for (low, high), kernel in zip(step.map.pads, step.map.kernel, strict=True)
    ):
        (height, width), (down, right) = step.map.kernel, step.map.stride
        (top, _), (left, _) = step.map.pads
        divisor = None if step.map.mean else 1
        return [("", nn.AvgPool2d((height, width), (down, right), (top, left), divisor_override=divisor))]
    return [("", connection_module(step))]


def neuron_layers(link: Link, metadata: dict[str, Any], options: dict[str, Any]) -> Layers:
    """A snnTorch neuron, after a Scale where an input does not weigh 1."""
    spec = link.step
    assert isinstance(spec, Neurons)
    alpha, keep, gain = _coefficients(spec)
    threshold = spec.threshold if link.compare is None else link.compare.threshold
    assert threshold is not None
    lapicque = None if alpha is not None or link.recurrent else _capacitor(keep, gain, metadata)
    if lapicque is not None:
        mechanism, _ = _reset(spec, keep, threshold, metadata, (("subtract", True),))
        neuron = snntorch.Lapicque(**lapicque, threshold=_tensor(threshold), reset_mechanism=mechanism, **options)
        return [("", neuron)]
    decays = {"beta": _tensor(keep), **({} if alpha is None else {"alpha": _tensor(alpha)})}
    mechanism, delay = _reset(spec, keep, threshold, metadata, _RESETS[alpha is not None, link.recurrent is not None])
    common = {"threshold": _tensor(threshold), "reset_mechanism": mechanism, "reset_delay": delay, **options}
    if link.recurrent is None:
        kind = snntorch.Leaky if alpha is None else snntorch.Synaptic
        return [*_scale(gain), ("", kind(**decays, **common))]
    kind = snntorch.RLeaky if alpha is None else snntorch.RSynaptic
    neuron = kind(**decays, **recurrent_options(link, gain), **common)
    set_recurrent(neuron.recurrent, link, gain)
    return [*_scale(gain), ("", neuron)]


def membrane(link: Link, options: dict[str, Any]) -> Layers:
    """The membrane potential of Neurons without a threshold."""
    spec = link.step
    assert isinstance(spec, Neurons)
    alpha, keep, gain = _coefficients(spec)
    common = {**options, "reset_mechanism": "none", "output": True}
    if alpha is None:
        return [*_scale(gain), ("", Membrane(snntorch.Leaky(beta=_tensor(keep), **common)))]
    return [*_scale(gain), ("", Membrane(snntorch.Synaptic(alpha=_tensor(alpha), beta=_tensor(keep), **common)))]


_SAME_STEP = (("subtract", True), ("zero", False))
#: (synaptic, recurrent) -> what snnTorch 1.0 can do that is hasn's reset; see hasn.conversions.snntorch.settings.
_RESETS = {
    (False, False): (*_SAME_STEP, ("zero", True)),
    (True, False): _SAME_STEP,
    (False, True): _SAME_STEP,
    (True, True): (("subtract", True),),
}


def _coefficients(spec: Neurons) -> tuple[Floats | None, Floats, Floats]:
    """(alpha or None, beta, weight of an input) of Neurons that step as snnTorch's do."""
    if any(row.bias is not None for row in spec.rows):
        raise refusal(spec.name, "v_leak", "snnTorch's neurons leak to 0", way_out="Leave sequential out.")
    if any(np.any(initial) for initial in spec.initial.values()):
        raise refusal(spec.name, "metadata['v_init']", "snnTorch's neurons start at 0", way_out="Leave sequential out.")
    if spec.update == "one row":
        alpha, keep, gain = None, spec.rows[0].terms[0][1], spec.rows[0].gain
    elif spec.update == "current first":
        current, voltage = spec.rows
        alpha, keep = current.terms[0][1], voltage.terms[0][1]
        gain = None if current.gain is None else current.gain * voltage.terms[1][1]  # snnTorch's syn weighs 1
    else:
        raise refusal(spec.name, None, "snnTorch has no neuron with this update", way_out="Leave sequential out.")
    if gain is None or any(np.any((x < 0) | (x > 1)) for x in (keep, keep if alpha is None else alpha)):
        raise refusal(spec.name, "tau", "snnTorch keeps decays between 0 and 1", way_out="Take a smaller dt.")
    return alpha, keep, gain


def _reset(
    spec: Neurons, keep: Floats, threshold: Floats, metadata: dict[str, Any], known: tuple[tuple[str, bool], ...]
) -> tuple[str, bool]:
    """(reset_mechanism, reset_delay) that acts as hasn's reset of ``spec``."""
    if spec.threshold is None:
        return "none", bool(metadata.get("snntorch_reset_delay", True))
    if spec.held is not None:
        what = "snnTorch's neurons are not held after a spike"
        raise refusal(spec.name, "metadata['refractory']", what, way_out="Leave sequential out.")
    jump: Floats = np.full(spec.shape, np.nan) if spec.firing is None else spec.firing.jump
    if np.any(threshold < 0):
        raise refusal(spec.name, "v_threshold", "snnTorch resets a neuron at rest whose threshold is negative")
    if spec.reset == "zero" and not np.any(jump):
        delay = bool(metadata.get("snntorch_reset_delay", False))
        for choice in (("zero", delay), ("zero", False)):
            if choice in known:
                return choice
    # 1e-12: v_reset = threshold - threshold/beta and its way back round a few times.
    if spec.reset == "subtract" and np.allclose(keep * jump, threshold, rtol=1e-12, atol=0):
        return "subtract", True
    raise refusal(
        spec.name,
        "reset",
        "snnTorch has no such reset for this neuron",
        got=f"{spec.reset!r} with a jump of {np.unique(jump)[:3]}",
        wanted=" or ".join(f"{mechanism!r} with reset_delay={delay}" for mechanism, delay in known),
        way_out="Leave sequential out.",
    )


def _capacitor(keep: Floats, gain: Floats, metadata: dict[str, Any]) -> dict[str, Tensor] | None:
    """R, C and time_step of a Lapicque neuron, if the node came from one and still has its values."""
    names = ("R", "C", "time_step")
    if metadata.get("snntorch") != "Lapicque" or any(f"snntorch_{name}" not in metadata for name in names):
        return None
    values = {name: torch.tensor(float(metadata[f"snntorch_{name}"])) for name in names}
    rc = values["R"] * values["C"]
    same = np.allclose((1 - values["time_step"] / rc).numpy(), keep, rtol=1e-6, atol=0)
    fits = np.allclose((values["R"] * (1 / rc) * values["time_step"]).numpy(), gain, rtol=1e-6, atol=0)
    return values if same and fits else None


def _tensor(values: Floats) -> Tensor:
    """One number where all are equal, as users write it."""
    distinct = np.unique(values)
    return torch.tensor(distinct[0] if distinct.size == 1 else values, dtype=torch.float32)


def _scale(gain: Floats) -> Layers:
    return [] if np.all(gain.astype(np.float32) == 1) else [("_scale", Scale(gain, torch.float32))]
