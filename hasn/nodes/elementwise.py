"""Scale ``y = s x``, Threshold ``y = 1[x > theta]`` and Delay ``y[t] = x[t - round(d/dt)]``, each element by itself."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Parameter, Place, finite
from hasn.nodes.neuron import under_way_findings, whole_steps_findings
from hasn.program.maps import Identity, Scaling
from hasn.program.model import Connection, Shape, Threshold


class _Elementwise(NodeKind):
    elementwise = True

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The shape of its parameter."""
        return tuple(np.shape(getattr(node, self.parameters[0].name)))


class ScaleKind(_Elementwise):
    """A factor for each element."""

    type = nir.Scale
    parameters = (finite("scale"),)
    trained = ("scale",)

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A diagonal map."""
        return Connection(place.name, Scaling(np.array(node.scale)), place.result, given=place.given)


class ThresholdKind(_Elementwise):
    """1 where the input lies above the threshold (strictly), else 0."""

    type = nir.Threshold
    parameters = (finite("threshold"),)

    def meaning(self, node: nir.NIRNode, place: Place) -> Threshold:
        """A node of its own."""
        return Threshold(place.name, place.result, np.array(node.threshold, dtype=np.float64))


class DelayKind(_Elementwise):
    """Whole steps, rounded to the nearest; 0 before the start."""

    type = nir.Delay
    parameters = (Parameter("delay", "s", lambda a: np.isfinite(a) & (a >= 0), "a finite delay >= 0 s"),)

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """An identity that comes late."""
        steps = np.rint(np.asarray(node.delay, dtype=np.float64) / place.dt).astype(np.int64)
        return Connection(place.name, Identity(), place.result, steps if np.any(steps) else None, place.given)

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """Delays that are rounded, or too long to count."""
        delay = np.asarray(node.delay, dtype=float)
        found = list(whole_steps_findings(name, "delay", delay, dt, "warning"))
        yield from found
        if delay.size and not any(finding.severity == "error" for finding in found):
            yield from under_way_findings(name, "delay", int(np.rint(delay.max() / dt)), delay.size)


KINDS = (ScaleKind(), ThresholdKind(), DelayKind())
