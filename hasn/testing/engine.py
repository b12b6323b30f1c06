"""What Lava's learning engine makes of a rule (docs/plasticity.md, "Lava's learning engine"), synapse by synapse.

Not how the engine gets there: no trace, tag or product of its own is in here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.testing.learning import Learner

Array = NDArray[Any]


class EngineLearner(Learner):
    """SEMANTICS but for one thing: what a target's spike brings is added a step later, to the weight of then."""

    def __init__(self, *connection: Any) -> None:
        super().__init__(*connection)
        self.held: dict[str, Any] | None = None

    def move(self, known: dict[str, Any]) -> None:
        """The terms with ``pre`` of this step, and those with ``post`` of the step before."""
        change = self.value(self.rule["update"], {**known, "post": 0.0})
        if self.held is not None:
            change = change + self.value(self.rule["update"], {**self.held, "pre": 0.0, "w": self.weight})
        self.held = known
        self.weight = np.clip(self.weight + change, known["w_min"], known["w_max"])
