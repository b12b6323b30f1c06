"""A placement that can change neuron by neuron, with what it uses and sends kept exactly up to date."""

from __future__ import annotations

import numpy as np

from hasn.conversions.loihi.placement.problem import (
    COMPARTMENTS,
    DECAYS,
    IN_AXONS,
    MEMORY,
    OUT_AXONS,
    RESOURCES,
    Problem,
)
from hasn.program.integers.model import Integers

NOWHERE = -1


class State:
    """Which core each neuron is on.

    An *axon* is a pair of a source and a core that it reaches: an in-axon of that core, and an out-axon of the core
    that the source is on (none for Inputs, which are outside). A *message* is a spike that goes along an axon to
    another core; ``traffic`` counts them over the calibration.

    Attributes:
        core: (neurons,) core of each, NOWHERE if it has none yet.
        reach: (sources, cores) neurons of a core that a source reaches.
        used: (cores, 6) resources, without what neurons and axons take of the memory (see :meth:`usage`).
        traffic: messages between cores.
    """

    def __init__(self, problem: Problem, spikes: Integers, cores: int) -> None:
        self.problem, self.spikes, self.cores = problem, spikes, cores
        self.core: Integers = np.full(problem.neurons, NOWHERE, dtype=np.int64)
        self.reach: Integers = np.zeros((problem.sources, cores), dtype=np.int64)
        self.used: Integers = np.zeros((cores, len(RESOURCES)), dtype=np.int64)
        self.traffic = 0
        self._counts = [np.zeros((kept.stored.shape[1], cores), dtype=np.int64) for kept in problem.lists]
        self._kinds = [np.zeros((int(row.max(initial=-1)) + 1, cores), dtype=np.int64) for row in problem.kinds]
        names = {number: name for name, span in problem.populations.items() for number in range(*span)}
        self._lists = [problem.lists_of[names[n]] for n in range(problem.neurons)]
        profile = problem.profile
        self._extra = np.array([profile.neuron_bits, profile.axon_bits, profile.axon_bits])

    # --- what is used

    def usage(self) -> Integers:
        """(cores, 6) resources in use; memory with all that it holds."""
        total = self.used.copy()
        total[:, MEMORY] += self.used[:, :MEMORY] @ self._extra
        return total

    def usage_of(self, core: int) -> Integers:
        """(6,) resources in use on a core."""
        total: Integers = self.used[core].copy()
        total[MEMORY] += self.used[core, :MEMORY] @ self._extra
        return total

    def excess(self) -> Integers:
        """(cores, 6) what is over each limit, 0 where nothing is."""
        over: Integers = np.maximum(self.usage() - self.problem.limits, 0)
        return over

    def joining(self, neuron: int) -> Integers:
        """(cores, 6) what each core would use with one neuron more, but for out-axons of other cores.

        The row of the core that the neuron is on already means nothing.
        """
        problem = self.problem
        total = self.usage()
        reached = self.reach[neuron] > 0
        total[:, COMPARTMENTS] += 1
        total[:, OUT_AXONS] += int(reached.sum())
        sources = _row(problem.into, neuron)
        new = self.reach[sources] == 0
        axons, drives = new.sum(axis=0), new[sources >= problem.drives].sum(axis=0)
        total[:, COMPARTMENTS] += drives
        total[:, IN_AXONS] += axons
        total[:, OUT_AXONS] += drives
        total[:, MEMORY] += (1 + drives) * self._extra[0] + (axons + drives + int(reached.sum())) * self._extra[1]
        for place in self._lists[neuron]:
            kept, counts = problem.lists[place], self._counts[place]
            now = counts[_row(kept.stored, neuron)]
            if kept.kernel_bits:
                total[:, MEMORY] += (now == 0).sum(axis=0) * kept.kernel_bits
            else:
                more = np.minimum(now + 1, len(kept.bits) - 1)
                total[:, MEMORY] += (kept.bits[more] - kept.bits[now]).sum(axis=0)
        for place, (row, counts) in enumerate(zip(problem.kinds, self._kinds, strict=True)):
            total[:, DECAYS + place] += counts[row[neuron]] == 0
        return total

    # --- changes

    def load(self, assignment: Integers) -> None:
        """Place every neuron at once."""
        from scipy.sparse import csr_array

        problem, n, cores = self.problem, self.problem.neurons, self.cores
        self.core = np.array(assignment, dtype=np.int64)
        where = csr_array((np.ones(n, dtype=np.int64), (np.arange(n), self.core)), shape=(n, cores))
        self.reach = (problem.into.T.astype(np.int64) @ where).toarray()
        reached = self.reach > 0
        self.used[:] = 0
        self.used[:, COMPARTMENTS] = np.bincount(self.core, minlength=cores) + reached[problem.drives :].sum(axis=0)
        self.used[:, IN_AXONS] = reached.sum(axis=0)
        np.add.at(self.used[:, OUT_AXONS], self.core, reached[:n].sum(axis=1))
        self.used[:, OUT_AXONS] += reached[problem.drives :].sum(axis=0)
        for place, kept in enumerate(problem.lists):
            counts = self._counts[place] = (kept.stored.T.astype(np.int64) @ where).toarray()
            memory = (counts > 0) * kept.kernel_bits if kept.kernel_bits else kept.bits[counts]
            self.used[:, MEMORY] += memory.sum(axis=0)
        for place, (row, kinds) in enumerate(zip(problem.kinds, self._kinds, strict=True)):
            kinds[:] = 0
            np.add.at(kinds, (row, self.core), 1)
            self.used[:, DECAYS + place] = (kinds > 0).sum(axis=0)
        local = reached[np.arange(n), self.core]
        self.traffic = int(self.spikes[:n] @ (reached[:n].sum(axis=1) - local))

    def put(self, neuron: int, core: int) -> None:
        """Place a neuron that is nowhere."""
        self._synapses(neuron, core, 1)
        self.core[neuron] = core
        self._sending(neuron, core, 1)

    def take(self, neuron: int) -> int:
        """Take a neuron off its core; the core it was on."""
        core = int(self.core[neuron])
        self._sending(neuron, core, -1)
        self.core[neuron] = NOWHERE
        self._synapses(neuron, core, -1)
        return core

    def move(self, neuron: int, core: int) -> int:
        """From its core to another; the change of traffic."""
        before = self.traffic
        self.take(neuron)
        self.put(neuron, core)
        return self.traffic - before

    def _sending(self, neuron: int, core: int, sign: int) -> None:
        reached = self.reach[neuron] > 0
        targets = int(reached.sum())
        self.used[core, OUT_AXONS] += sign * targets
        self.traffic += sign * int(self.spikes[neuron]) * (targets - int(reached[core]))

    def _synapses(self, neuron: int, core: int, sign: int) -> None:
        problem, used = self.problem, self.used[core]
        used[COMPARTMENTS] += sign
        for place, (row, counts) in enumerate(zip(problem.kinds, self._kinds, strict=True)):
            counts[row[neuron], core] += sign
            used[DECAYS + place] += sign * (counts[row[neuron], core] == (sign > 0))
        self._axons(_row(problem.into, neuron), core, sign)
        for place in self._lists[neuron]:
            kept, counts = problem.lists[place], self._counts[place]
            some = _row(kept.stored, neuron)
            now = counts[some, core]
            if kept.kernel_bits:
                used[MEMORY] += sign * int((now == (sign < 0)).sum()) * kept.kernel_bits
            else:
                used[MEMORY] += int((kept.bits[now + sign] - kept.bits[now]).sum())
            counts[some, core] = now + sign

    def _axons(self, sources: Integers, core: int, sign: int) -> None:
        """Axons that begin or end with this neuron's synapses."""
        problem = self.problem
        now = self.reach[sources, core]
        self.reach[sources, core] = now + sign
        changed = sources[now == (sign < 0)]
        drives = int((changed >= problem.drives).sum())
        self.used[core, IN_AXONS] += sign * len(changed)
        self.used[core, COMPARTMENTS] += sign * drives
        self.used[core, OUT_AXONS] += sign * drives
        senders = changed[changed < problem.neurons]
        homes = self.core[senders]
        senders, homes = senders[homes != NOWHERE], homes[homes != NOWHERE]
        np.add.at(self.used[:, OUT_AXONS], homes, sign)
        self.traffic += sign * int(self.spikes[senders[homes != core]].sum())

    # --- all at once

    def costs(self) -> Integers:
        """(neurons, cores) change of traffic if a neuron, as the only one, moved there.

        Exact but for a neuron that reaches itself.
        """
        n = self.problem.neurons
        into = self.problem.into[:, :n].astype(np.int64)
        sent, reach = self.spikes[:n, None], self.reach[:n]
        elsewhere = np.arange(self.cores) != self.core[:, None]
        joining = into @ (sent * (reach == 0) * elsewhere)
        alone = into @ (sent * (reach == 1) * elsewhere)
        here = np.arange(n), self.core
        own = sent * (reach > 0)
        made: Integers = joining - alone[here][:, None] + own[here][:, None] - own
        made[here] = 0
        return made

    def messages(self) -> Integers:
        """(cores, cores) messages from row to column; on the diagonal those that stay."""
        n = self.problem.neurons
        sent = self.spikes[:n, None] * (self.reach[:n] > 0)
        total = np.zeros((self.cores, self.cores), dtype=np.int64)
        np.add.at(total, self.core, sent)
        return total

    def arriving(self) -> Integers:
        """(cores,) messages from the Inputs."""
        first, end = self.problem.neurons, self.problem.drives
        return np.asarray(self.spikes[first:end] @ (self.reach[first:end] > 0), dtype=np.int64)


def _row(matrix: object, row: int) -> Integers:
    indptr = matrix.indptr  # type: ignore[attr-defined]
    found: Integers = matrix.indices[indptr[row] : indptr[row + 1]]  # type: ignore[attr-defined]
    return found
