"""The folder that `hasn export --target loihi2` writes: it runs and tests itself with lava-nc alone."""

from hasn.conversions.loihi.export.bundle.write import export_bundle

__all__ = ["export_bundle"]
