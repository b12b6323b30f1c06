"""A placement as text and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.conversions.loihi.placement.problem import RESOURCES
from hasn.program.describe import counted
from hasn.program.draw import plain_text

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement.result import Placement

_WIDEST = 400
LABELS = {
    "compartments": "compartments",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "memory_bits": "memory (KiB)",
    "decay_groups": "decays",
    "threshold_groups": "thresholds",
}
_KIB = 8 * 1024


def amount(resource: str, value: float) -> str:
    """A resource's value in the unit of its label."""
    return f"{value / _KIB:,.1f}" if resource == "memory_bits" else f"{value:,.0f}"


def fullest_text(placement: Placement) -> str:
    """Which core is fullest, and of what."""
    core, resource, share = placement.fullest
    used, limit = placement.resources[resource][core], getattr(placement.profile, resource)
    x, y = placement.positions[core]
    return (
        f"Fullest: core {core} at ({x}, {y}), {amount(resource, used)} of {amount(resource, limit)} "
        f"{LABELS[resource]} ({100 * share:.1f} %)"
    )


def traffic_text(placement: Placement) -> str:
    """Messages between cores, and against the greedy mapper."""
    steps = max(1, placement.steps * placement.samples)
    return (
        f"Spike messages between cores: {placement.traffic:,} over {counted(placement.samples, 'sample')} of "
        f"{counted(placement.steps, 'step')} ({placement.traffic / steps:,.1f} a step). {baseline_text(placement)}"
    )


def baseline_text(placement: Placement) -> str:
    """The greedy mapper in a sentence."""
    base, saving = placement.baseline, placement.saving
    if base is None:
        return "Filling cores greedily in node order finds no assignment."
    if not base.fits:
        return f"Filling cores greedily in node order would need {counted(base.cores, 'core')}: it does not fit."
    greedy = f"Filling cores greedily in node order: {base.traffic:,} on {counted(base.cores, 'core')}"
    return f"{greedy}, so {100 * saving:.1f} % fewer." if saving is not None else f"{greedy}."


def hops_text(placement: Placement) -> str:
    """How far messages go."""
    mean = placement.message_hops / placement.traffic if placement.traffic else 0.0
    base = placement.baseline
    far = None if base is None or base.message_hops is None else f" (greedy, in rows: {base.message_hops:,})"
    return (
        f"Hops on the {placement.profile.mesh[0]} x {placement.profile.mesh[1]} mesh of routers: "
        f"{placement.message_hops:,} message hops, {mean:.3g} a message{far or ''}"
    )


def inputs_text(placement: Placement) -> str:
    """Messages from outside, if known."""
    if placement.input_messages is None:
        return "Messages from Inputs: not known (a recording does not hold them)"
    return f"Messages from Inputs, counted apart: {int(placement.input_messages.sum()):,}"


def nothing_text(placement: Placement) -> str:
    """Why the traffic says nothing; empty where it does say something."""
    if placement.counted:
        return ""
    spiked = any(sent.spikes for sent in placement.populations.values())
    why = "no neuron that spiked leads to another" if spiked else "no spikes on this input"
    return f"Nothing was counted: {why}, so every placement has no traffic."


def summary_lines(placement: Placement) -> list[str]:
    """The result in a few lines."""
    return [
        f"{placement.profile.title}: {counted(placement.cores, 'core')} of {placement.profile.cores} in use "
        f"({placement.method})",
        fullest_text(placement),
        traffic_text(placement),
        hops_text(placement),
        inputs_text(placement),
    ]


def core_rows(placement: Placement) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, one row a core)."""
    headings = ("core", "router", "neurons of", *LABELS.values(), "sends", "gets", "fullest")
    between, shares = placement.between, placement.shares
    rows = []
    for core in range(placement.cores):
        x, y = placement.positions[core]
        here = {name: int((cores == core).sum()) for name, cores in placement.neurons.items()}
        whose = ", ".join(f"{name} {count:,}" for name, count in here.items() if count)
        name = max(shares, key=lambda key: float(shares[key][core]))
        rows.append(
            (
                str(core), f"({x}, {y})", whose,
                *[amount(r, placement.resources[r][core]) for r in RESOURCES],
                f"{between[core].sum():,}", f"{between[:, core].sum():,}",
                f"{100 * shares[name][core]:.0f} % {LABELS[name].split(' (')[0]}",
            )
        )  # fmt: skip
    return headings, rows


def placement_text(placement: Placement, width: int | None) -> str:
    """Summary and table."""
    from rich.box import ROUNDED
    from rich.table import Table
    from rich.text import Text

    headings, rows = core_rows(placement)
    table = Table(box=ROUNDED)
    for heading in headings:
        left = heading in ("router", "neurons of", "fullest")
        table.add_column(Text(heading), justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return "\n".join([plain_text(table, width or _WIDEST), *summary_lines(placement)])


def placement_data(placement: Placement) -> dict[str, Any]:
    """Plain values for JSON."""
    core, resource, share = placement.fullest
    base = placement.baseline
    between = placement.between
    pairs = [
        {"from": int(a), "to": int(b), "messages": int(between[a, b]), "hops": int(placement.hops[a, b])}
        for a, b in zip(*np.nonzero(between), strict=True)
    ]
    return {
        "target": placement.profile.name,
        "method": placement.method,
        "steps": placement.steps,
        "samples": placement.samples,
        "cores": placement.cores,
        "cores_available": placement.profile.cores,
        "fullest": {"core": core, "resource": resource, "share": share},
        "traffic": placement.traffic,
        "message_hops": placement.message_hops,
        "input_messages": None if placement.input_messages is None else int(placement.input_messages.sum()),
        "greedy": None
        if base is None
        else {"cores": base.cores, "traffic": base.traffic, "message_hops": base.message_hops, "fits": base.fits},
        "saving": placement.saving,
        "limits": {name: getattr(placement.profile, name) for name in RESOURCES},
        "resources": {name: values.tolist() for name, values in placement.resources.items()},
        "positions": placement.positions.tolist(),
        "slots": placement.slots.tolist(),
        "pairs": pairs,
        "populations": {
            name: {"messages": s.messages, "message_hops": s.message_hops, "local": s.local, "spikes": s.spikes}
            for name, s in placement.populations.items()
        },
        "neurons": {name: cores.reshape(-1).tolist() for name, cores in placement.neurons.items()},
    }
