"""snnTorch modules to NIR and back. Importing this imports torch and snnTorch; docs/conversions.md has the tables."""

from hasn.conversions.snntorch.export import from_snntorch
from hasn.conversions.snntorch.restore import to_snntorch

__all__ = ["from_snntorch", "to_snntorch"]
