"""`hasn backends`: what can run a network here."""

from __future__ import annotations

from dataclasses import asdict

from hasn.cli.options import Json


def backends(as_json: Json = False) -> None:
    """List the backends: which can run here, and what installs those that cannot.

    Example: hasn backends
    """
    from hasn.backend import list_backends
    from hasn.cli.console import add_row, show, show_json, table

    found = list_backends()
    if as_json:
        show_json({name: asdict(info) for name, info in found.items()})
        return
    made = table(
        "backend", "here", "version", "precisions", "latency (steps)", "primitives", numbers=("latency (steps)",)
    )
    for name, info in found.items():
        here = "yes" if info.available else f"no: {info.why_not}"
        add_row(made, name, here, info.version, ", ".join(info.precisions), info.latency, _primitives(info.primitives))
    show(made)


def _primitives(names: tuple[str, ...]) -> str:
    from hasn.nodes.lookup import kind_names

    missing = [name for name in kind_names() if name not in names]
    return f"all but {', '.join(missing)}" if missing else f"all {len(names)} of NIR"
