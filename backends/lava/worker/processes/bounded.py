"""Lava's learning connection with bounds of the weights: the chip's mantissa has them, the floating-point model not."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.proc.dense.models import PyLearningDenseModelFloat
from lava.proc.dense.process import LearningDense


class BoundedLearningDense(LearningDense):  # type: ignore[misc]
    """A LearningDense whose weights stay within ``bounds``, (low, high)."""


class PyBoundedLearningDenseModel(PyLearningDenseModelFloat):  # type: ignore[misc]
    """Stock but for the bounds; it has the tag and the protocol of the model that it extends."""

    implements_process = BoundedLearningDense  # Lava's decorator refuses a subclass of a model of another process

    def _saturate_synaptic_variable(self, synaptic_variable_name: str, synaptic_variable_values: Any) -> Any:
        if synaptic_variable_name == "weights":
            return np.clip(synaptic_variable_values, *self.proc_params["bounds"])
        return super()._saturate_synaptic_variable(synaptic_variable_name, synaptic_variable_values)
