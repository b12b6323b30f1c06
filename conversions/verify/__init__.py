"""Every conversion proves itself: a few random steps in the source tool and on hasn, node by node. Imports torch."""

from hasn.backends.snntorch.copies import copied, pruned, settled
from hasn.conversions.verify.compare import Source, verified
from hasn.conversions.verify.forward import require_plain
from hasn.conversions.verify.hear import Layout, Place

__all__ = ["Layout", "Place", "Source", "copied", "pruned", "require_plain", "settled", "verified"]
