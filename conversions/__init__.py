"""hasn.conversions: installed under that name alone, so that no module exists twice."""

if __name__ != "hasn.conversions":
    raise ImportError("import hasn.conversions, not conversions: this folder is installed as hasn.conversions")
