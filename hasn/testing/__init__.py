"""The proof that a backend runs a graph as hasn means it; any backend can be put to it.

    pip install 'hasn[testing]'
    pytest --pyargs hasn.testing --backend NAME        # several: --backend A --backend B; -n 2 with pytest-xdist

Without ``--backend``, all backends that are installed and hasn's own two interpreters of a Program are judged.

    cases/        networks and inputs as data
    reference     what a graph means, in plain NumPy and without any of hasn's lowering: the judge
    integers      the same of a graph in the chip's units, in Python's integers: the judge of precision "loihi"
    strategies    random networks for hypothesis: graphs(), inputs_for(graph), options(), trials()
    gaps          what a backend cannot do, with the reason; each is a strict expected failure
    support       docs/support.md, from what passed

Nothing here imports pytest or hypothesis but the test modules, the strategies and the plugin.
"""
