"""How `hasn.quantise` works: what leads into a population, its scale, rounding, both graphs, the report."""
