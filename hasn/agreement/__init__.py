"""Agreement: whether several backends ran the same network, and if not, where and why they part."""

from hasn.agreement.compare import compare
from hasn.agreement.comparison import Comparison, Divergence
from hasn.agreement.judge import judge

__all__ = ["Comparison", "Divergence", "compare", "judge"]
