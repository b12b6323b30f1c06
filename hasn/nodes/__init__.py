"""Kinds of node, a file each: parameters and units, shapes, meaning. Plug-ins add more (:mod:`hasn.nodes.kind`)."""
