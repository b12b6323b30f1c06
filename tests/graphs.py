"""Small graphs that tests share: they live in the package, for backends of third parties."""

from hasn.testing.graphs import DT, Draw, Shape, chain, graded, graph, inp, out, small_net, spikes

__all__ = ["DT", "Draw", "Shape", "chain", "graded", "graph", "inp", "out", "small_net", "spikes"]
