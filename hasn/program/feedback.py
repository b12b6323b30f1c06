"""Which edges carry the previous step's value, and the order of evaluation inside a step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush

Pair = tuple[str, str]


def feedback_edges(names: Collection[str], edges: Iterable[Pair], inputs: Iterable[str]) -> set[Pair]:
    """Edges that point to a node on the stack of a depth-first search.

    The search starts at ``inputs``, then at the other nodes, and takes names in sorted order throughout, so that
    the answer does not depend on how a file was written (SEMANTICS, "Time, signals, order").
    """
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        after[source].append(target)
    first = sorted(inputs)
    feedback: set[Pair] = set()
    done: set[str] = set()
    for root in [*first, *sorted(set(names) - set(first))]:
        if root not in done:
            _search(root, after, done, feedback)
    return feedback


def _search(root: str, after: dict[str, list[str]], done: set[str], feedback: set[Pair]) -> None:
    """Depth-first from ``root`` without recursion: a graph may be deeper than Python's stack."""
    stack = [(root, iter(sorted(after[root])))]
    on_stack = {root}
    while stack:
        node, rest = stack[-1]
        target = next(rest, None)
        if target is None:
            stack.pop()
            on_stack.discard(node)
            done.add(node)
        elif target in on_stack:
            feedback.add((node, target))
        elif target not in done:
            on_stack.add(target)
            stack.append((target, iter(sorted(after[target]))))


def evaluation_order(names: Collection[str], edges: Iterable[Pair]) -> Sequence[str]:
    """Topological order, sorted by name among the nodes that are ready (Kahn, 1962); ``edges`` have no cycle."""
    waiting = dict.fromkeys(names, 0)
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        waiting[target] += 1
        after[source].append(target)
    ready = [name for name, count in waiting.items() if count == 0]
    heapify(ready)
    order: list[str] = []
    while ready:
        name = heappop(ready)
        order.append(name)
        for target in after[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heappush(ready, target)
    return order
