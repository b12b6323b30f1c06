"""Mutation testing: plausible slips put into the code one at a time, and whether the tests notice (docs/testing.md).

``python -m tests.mutants ROOM ...``, or ``make mutants ROOM=hasn/agreement``.

- ``slips``: what a good engineer gets wrong, as kinds of change to a syntax tree (mutmut's operators and ours).
- ``mutant``: the mutants of a file, each with a name that survives moved lines; a sample of them.
- ``rooms``: which files a room has, which tests judge it (``rooms.toml``), what is equivalent (``equivalent/``).
- ``kernels``: slips in C, by hand (``kernels.toml``).
- ``cover``: which test runs which line.
- ``run``, ``tree``, ``server``: a mutant in a tree of its own, its tests in a fork of a process that has the simulators
  loaded.
- ``verdicts``: what was found, kept between runs. ``page``: the report.
"""
