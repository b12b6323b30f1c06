"""Where the boxes of a drawn graph go: layers from left to right (Sugiyama et al., IEEE Trans. SMC 11, 1981)."""

from __future__ import annotations

from dataclasses import dataclass

from hasn.program.feedback import evaluation_order, feedback_edges
from hasn.program.model import Program, Source

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Places in units of layers (x) and rows (y).

    Attributes:
        places: node -> (layer, row).
        routes: (source, target) of a forward edge -> the places it passes, ends included.
        backward: edges that run against the layers: those that close a cycle.
    """

    places: dict[str, Point]
    routes: dict[tuple[str, str], list[Point]]
    backward: tuple[tuple[str, str], ...]

    @property
    def layers(self) -> int:
        """Number of layers."""
        return 1 + int(max((x for x, _ in self.places.values()), default=-1))

    @property
    def rows(self) -> float:
        """Height in rows."""
        ys = [y for route in self.routes.values() for _, y in route] + [y for _, y in self.places.values()]
        return max(ys, default=0.0) - min(ys, default=0.0) + 1


def layout(program: Program) -> Layout:
    """Each node in the layer after its latest source; edges over several layers bend round the boxes between."""
    names = [step.name for step in program.nodes]
    pairs = [(edge.source, edge.target) for edge in program.edges]
    backward = feedback_edges(names, pairs, [source.name for source in program.of(Source)])
    forward = [pair for pair in pairs if pair not in backward]
    layer: dict[str, int] = dict.fromkeys(names, 0)
    for name in evaluation_order(names, forward):
        layer[name] = max((layer[source] + 1 for source, target in forward if target == name), default=0)
    chains = {pair: _chain(pair, layer) for pair in forward}
    rows = _rows(layer, chains)
    places = {name: (float(layer[name]), rows[name]) for name in names}
    routes = {
        pair: [(float(layer[pair[0]] + k), rows[name]) for k, name in enumerate(chain)]
        for pair, chain in chains.items()
    }
    return Layout(places, routes, tuple(sorted(backward)))


def _chain(pair: tuple[str, str], layer: dict[str, int]) -> list[str]:
    """The edge's ends and a stand-in in every layer between."""
    source, target = pair
    return [source, *[f"{source}\0{target}\0{k}" for k in range(layer[source] + 1, layer[target])], target]


def _rows(layer: dict[str, int], chains: dict[tuple[str, str], list[str]]) -> dict[str, float]:
    """A row for each node and stand-in: sorted by the mean row of the neighbours, forwards and backwards."""
    level = dict(layer)
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for (source, _), chain in chains.items():
        for k, name in enumerate(chain):
            level.setdefault(name, layer[source] + k)
            if k:
                after.setdefault(chain[k - 1], []).append(name)
                before.setdefault(name, []).append(chain[k - 1])
    columns = [[name for name in level if level[name] == x] for x in range(1 + max(level.values(), default=0))]
    rows = {name: float(y) for column in columns for y, name in enumerate(column)}
    for sweep in range(6):
        near = before if sweep % 2 == 0 else after
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            wish = {n: sum(rows[m] for m in near[n]) / len(near[n]) if near.get(n) else rows[n] for n in column}
            column.sort(key=lambda name: wish[name])
            _settle(column, wish, rows)
    top = min(rows.values(), default=0.0)
    return {name: row - top for name, row in rows.items()}


def _settle(column: list[str], wish: dict[str, float], rows: dict[str, float]) -> None:
    """Give a sorted column its rows: as near to the wishes as a distance of 1 allows, without drifting."""
    placed: list[float] = []
    for name in column:
        placed.append(max(wish[name], placed[-1] + 1.0) if placed else wish[name])
    drift = sum(row - wish[name] for row, name in zip(placed, column, strict=True)) / max(len(column), 1)
    for row, name in zip(placed, column, strict=True):
        rows[name] = row - drift
