"""hasn.models: installed under that name alone, so that no module exists twice.

:func:`initialise` scales weights so that populations spike at a wanted rate; :mod:`hasn.models.adapters` brings
analogue samples in and class probabilities out.
"""

if __name__ != "hasn.models":
    raise ImportError("import hasn.models, not models: this folder is installed as hasn.models")

from hasn.models.data_driven import initialise

__all__ = ["initialise"]
