"""A Program as text: its nodes, the network of populations it makes, and what hardware would shift."""

from __future__ import annotations

from typing import Any

from hasn.errors import RetimingError
from hasn.program.describe import counted, shape_text, span, summaries
from hasn.program.fuse import Network, fuse
from hasn.program.learning import listed
from hasn.program.model import Program
from hasn.program.retime import retime


def program_text(program: Program, *, width: int = 118) -> str:
    """Draw a Program as plain text.

    Three parts: the nodes in the order of evaluation with their coefficients (uniform value, or smallest .. largest)
    and who feeds them; the populations and projections that event-driven simulators run; and the steps that hardware,
    where every projection takes one, would shift each population (or the cycle that forbids it).

    Args:
        program: what :func:`hasn.lower` gives.
        width: columns of the text.
    """
    network = fuse(program)
    populations = counted(len(network.populations), "population")
    head = f"dt {program.dt * 1e3:g} ms, {program.method}, {program.timing} timing"
    return "\n".join(
        [
            f"Program: {counted(len(program.nodes), 'node')} in the order of evaluation ({head})",
            plain_text(_steps_table(program), width),
            f"Network: {populations}, {counted(len(network.projections), 'projection')}",
            plain_text(_projections_table(network, program.dt), width),
            *_drives(network),
            *_shifts(network),
        ]
    )


def plain_text(table: Any, width: int) -> str:
    """A rich renderable as plain text without trailing blanks."""
    from rich.console import Console

    console = Console(width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _table(*columns: str) -> Any:
    from rich.box import ROUNDED
    from rich.table import Table

    table = Table(box=ROUNDED)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _steps_table(program: Program) -> Any:
    from rich.text import Text

    table = _table("#", "node", "kind", "shape", "what it does", "from")
    for number, node in enumerate(summaries(program), start=1):
        cells = (
            str(number),
            node.name,
            node.kind,
            shape_text(node.shape),
            "\n".join(node.details),
            "\n".join(node.sources),
        )
        table.add_row(*map(Text, cells))
    return table


def _projections_table(network: Network, dt: float) -> Any:
    from rich.text import Text

    table = _table("from", "to", "delay", "synapses", "weights")
    for p in network.projections:
        delay = f"{counted(p.delay, 'step')} = {p.delay * dt * 1e3:g} ms" if p.delay else "none"
        rows, columns = p.weights.shape
        share = f" ({100 * p.weights.nnz / (rows * columns):.3g} % of {rows} × {columns})"
        table.add_row(*map(Text, (p.source, p.target, delay, f"{p.weights.nnz}{share}", span(p.weights.data))))
    for plastic in network.plastic:
        synapses = listed(plastic.map)
        late = f"{counted(int(synapses.late.max(initial=0)), 'step')} at most" if synapses.late.any() else "none"
        cells = (plastic.name, plastic.target, late, f"{len(synapses.pre)}, learning", span(synapses.weight))
        table.add_row(*map(Text, cells))
    return table


def _drives(network: Network) -> list[str]:
    return [
        f"Constant drive into {name} from step {onset} on: {span(value)}"
        for name, onsets in network.drives.items()
        for onset, value in onsets.items()
    ]


def _shifts(network: Network) -> list[str]:
    try:
        shifts = retime(network).shifts
    except RetimingError as error:
        return [f"Hardware (one step a projection): cannot be retimed: {error}"]
    late = [f"{name} +{shift}" for name, shift in shifts.items() if shift]
    return [f"Hardware (one step a projection), steps that it runs late: {', '.join(late) or 'nothing does'}"]
