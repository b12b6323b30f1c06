"""The .net file that lava-dl's NetX reads."""

from hasn.conversions.loihi.export.netx.write import NetxFile, export_netx

__all__ = ["NetxFile", "export_netx"]
