"""A fuzzer of every file that hasn reads: seeded, knows HDF5, zip and JSON, runs each input in a process of its own.

`make fuzz` (SECONDS=3600) draws new inputs; what it finds goes to ``corpus``, which the tests replay.
"""
