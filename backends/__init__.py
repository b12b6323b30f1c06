"""hasn.backends: installed under that name alone, so that no module exists twice."""

if __name__ != "hasn.backends":
    raise ImportError("import hasn.backends, not backends: this folder is installed as hasn.backends")
