"""hasn.models: installed under that name alone, so that no module exists twice."""

if __name__ != "hasn.models":
    raise ImportError("import hasn.models, not models: this folder is installed as hasn.models")
