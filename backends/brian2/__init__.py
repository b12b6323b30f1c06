"""The Brian2 backend: populations and synapses of real Brian2, delivered within the step.

Importing this does not import Brian2.
"""

from hasn.backends.brian2.backend import Brian2Backend

BACKEND = Brian2Backend()

__all__ = ["BACKEND"]
