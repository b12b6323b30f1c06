"""The Program: a graph in discrete time, without simulator, tau or dt; only coefficients are left."""
