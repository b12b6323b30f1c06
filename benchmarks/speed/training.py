"""What the experiments on training share: the tools' networks, what they compute, a training step of each in turns."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.agreement import Agreement, compare, judged, trained
from benchmarks.network import Network
from benchmarks.peers import Build, Peer, hasn, snntorch
from benchmarks.peers.bare import products
from benchmarks.results import BARE, HASN, JELLY, JELLY_MEDIUM, LOOP, NORSE, Result
from benchmarks.timing import Settings, Work, interleaved, matmul_precision
from hasn.errors import HasnError

F32, F64 = torch.float32, torch.float64
#: Row -> tool of :data:`benchmarks.peers.OPTIONAL` and torch's precision of float32 products.
TOOLS = {JELLY: ("spikingjelly", "highest"), JELLY_MEDIUM: ("spikingjelly", "medium"), NORSE: ("norse", "highest")}


class Row(NamedTuple):
    """A contestant.

    Attributes:
        peer: its network.
        precision: torch's, of float32 products, while it runs.
        agreement: with hasn; None: it is what the others are compared with.
    """

    peer: Peer
    precision: str
    agreement: Agreement | None


def step(peer: Peer, x: Tensor) -> None:
    """Forward and backward; the loss is the sum of the output's spikes."""
    for parameter in peer.parameters():
        parameter.grad = None
    peer(x).sum().backward()


def work(row: Row, x: Tensor) -> Work:
    """A training step in the row's precision."""

    def run() -> None:
        with matmul_precision(row.precision):
            step(row.peer, x)

    return run


class Field:
    """The rows of one network, built and compared: snnTorch's loop and hasn, and what is added.

    Attributes:
        rows: by name.
        missing: row -> why it is not there.
    """

    def __init__(self, spec: Network, x: Tensor, settings: Settings) -> None:
        self._spec, self._x, self._settings = spec, x, settings
        self._hasn = {hasn.SURROGATE: (hasn.network(spec, F32), hasn.network(spec, F64))}
        ours, loops = self._hasn[hasn.SURROGATE], (snntorch.network(spec, F32), snntorch.network(spec, F64))
        settings.bar(0, 1, "comparing")
        self.rows = {
            LOOP: Row(loops[0], "highest", judged(LOOP, ours, loops, x, spec)),
            HASN: Row(ours[0], "highest", None),
        }
        self.missing: dict[str, str] = {}

    def add(self, name: str, build: Build, precision: str = "highest", surrogate: str = hasn.SURROGATE) -> None:
        """Another tool, or the same in another precision; one that fails is missing, and the benchmark goes on."""
        self._settings.bar(0, 1, f"comparing {name}")
        try:
            peer = build(self._spec, F32)
            # In "medium" precision float64 is as it was before.
            double = build(self._spec, F64) if precision == "highest" else None
            with matmul_precision(precision):
                found = trained(peer, self._x)
            agreement = compare(name, self._ours(surrogate), found, double, self._x)
        except Exception as error:  # whatever another tool may raise
            self.missing[name] = f"{type(error).__name__}: {error}"
        else:
            self.rows[name] = Row(peer, precision, agreement)

    def add_tools(self, *names: str) -> None:
        """The other tools' rows: all, or these."""
        for name in names or TOOLS:
            tool, precision = TOOLS[name]
            if tool in self._settings.tools:
                module = self._settings.tools[tool]
                self.add(name, module.network, precision, module.SURROGATE)
            else:
                self.missing[name] = self._settings.missing[tool]

    def add_hasn(self, name: str, **options: Any) -> None:
        """hasn with other options; missing where it, or this machine, has them not."""
        try:
            made = hasn.network(self._spec, **options)
        except HasnError as error:
            self.missing[name] = str(error)
            return
        found = trained(made, self._x)
        self.rows[name] = Row(made, "highest", compare(name, self._ours(hasn.SURROGATE), found, None, self._x))

    def _ours(self, surrogate: str) -> tuple[Peer, Peer]:
        """hasn in float32 and float64, with a tool's surrogate."""
        if surrogate not in self._hasn:
            both = (hasn.network(self._spec, dtype, surrogate) for dtype in (F32, F64))
            self._hasn[surrogate] = tuple(both)  # type: ignore[assignment]
        return self._hasn[surrogate]

    def measure(self, result: Result, order: tuple[str, ...]) -> None:
        """Milliseconds of a training step in turns, and what was compared, into ``result``."""
        works = {name: work(row, self._x) for name, row in self.rows.items()}
        works[BARE] = products(self._spec, self._x)
        found = interleaved({name: works[name] for name in order if name in works}, self._settings)
        result.rows = {name: [1e3 * value for value in values] for name, values in found.items()}
        result.agreements = self.agreements
        result.missing |= self.missing

    @property
    def agreements(self) -> list[Agreement]:
        """Of all rows that have one."""
        return [row.agreement for row in self.rows.values() if row.agreement is not None]
