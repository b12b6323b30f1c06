"""Learning by events: a step costs what happens in it, not what there is (``hasn/kernels/_plastic.c``)."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hasn.backends.snntorch.learned import Learned, Sent, Told
from hasn.backends.snntorch.lines import Line
from hasn.kernels import plastic as kernel
from hasn.kernels.plastic import Job, Kind, Operand
from hasn.program.learning import PLAIN, Extent, Learning, Product, Products
from hasn.program.maps import Dense, Sparse

#: A trace of synapses stands in memory divided by a scale, which decays in its place. Below this the division is made
#: good. What is fed at step a and read at step b is multiplied with scale_b / scale_a, rounded b - a times as the trace
#: itself would have been: relative errors of some (b - a) 2^-53 both ways, and what is older than 40 ln(2) time
#: constants has decayed to 2^-40. The scale is a float64 whatever the weights are, and 2^40 times a trace is far from
#: the largest float32.
SMALLEST = 2.0**-40
#: Share of the inputs from which on torch's product of a whole matrix is faster than reading columns.
_MOST = 0.1


def why_not(rule: Learning, spec: Any) -> str:
    """Why a connection does not go by events; "" if it does. The one place that decides it of rule and pattern."""
    if not isinstance(spec, Dense | Sparse):
        return f"a {type(spec).__name__} is none that the kernel has"
    longest = _longest(spec)
    late = longest > 0
    steady = rule.steady(late)
    if steady:
        return f"{steady[0]} acts at every step"
    if rule.normal is not None:
        return "weights are normalised"
    if rule.transmits != PLAIN:
        return "synapses send something else than w pre"
    if any(part.extent == "synapse" or (late and part.extent == "pre") for part in rule.rectified):
        return "something rectified belongs to each synapse"
    formulas = [feed for _, feed in _formulas(rule, late)]
    terms = [term for formula in formulas for term in formula]
    names = {name for term in terms for name in term.names} | {trace.name for trace in rule.of_synapses(late)}
    synapses = len(spec.indices) if isinstance(spec, Sparse) else spec.weight.size
    fits = (
        len(formulas) <= kernel.MAX_FORMULAS
        and len(terms) <= kernel.MAX_TERMS
        and len(names | {"w"}) <= kernel.MAX_OPERANDS
        and all(len(term.names) <= kernel.MAX_NAMES for term in terms)
        and max(synapses, *_size(spec)) < 2**31
        and longest <= kernel.MAX_DELAY
    )
    return "" if fits else "more than the kernel has room for"


def _longest(spec: Dense | Sparse) -> int:
    """Steps of the longest delay."""
    return 0 if isinstance(spec, Dense) or spec.delay is None else int(spec.delay.max(initial=0))


def _size(spec: Dense | Sparse) -> tuple[int, int]:
    """Outputs and inputs."""
    if isinstance(spec, Sparse):
        return spec.outputs, spec.inputs
    outputs, inputs = spec.weight.shape
    return int(outputs), int(inputs)


def _formulas(rule: Learning, late: bool) -> Iterator[tuple[str, Products]]:
    """What moves synapses; the weight last, which is left out between the steps at which it moves."""
    yield from ((trace.name, trace.feed) for trace in rule.of_synapses(late))
    if rule.update:
        yield "w", rule.update


class Events:
    """A connection whose rule goes by events.

    Attributes:
        touched: synapses at which the last step has done something, of all samples.

    Args:
        rule, spec: how it learns, and its pattern.
        extents: name in products -> who has one.
    """

    def __init__(self, rule: Learning, spec: Dense | Sparse, extents: Mapping[str, Extent]) -> None:
        self._rule, self._spec, self._extents = rule, spec, extents
        self._outputs, self._inputs = _size(spec)
        self._longest = _longest(spec)
        self._late = self._longest > 0
        self._own = {trace.name: trace for trace in rule.of_synapses(self._late)}
        self._formulas = list(_formulas(rule, self._late))
        read = {name for _, formula in self._formulas for term in formula for name in term.names}
        self._operands = sorted(read | {"w"} | self._own.keys())
        self._triggers = tuple(frozenset(self._waited_for(due)) for due in (False, True))
        self.touched = 0

    def _waited_for(self, due: bool) -> Iterator[str]:
        """What touches synapses, in a step at which weights move and in others."""
        for name, formula in self._formulas:
            for term in formula if due or name != "w" else ():
                yield self._rule.trigger(term) or ""
                if self._late and "pre" in term.names:  # only a synapse that is touched for it knows what arrives
                    yield "pre"

    def __getstate__(self) -> dict[str, Any]:
        """For copies and other processes: without what has addresses in it."""
        return {key: value for key, value in vars(self).items() if key not in ("_pattern", "_fixed")}

    # --- the pattern

    @cached_property
    def _pattern(self) -> dict[str, NDArray[Any]]:
        """The arrays that the kernel reads, by their names in its Job; nothing of a matrix."""
        spec = self._spec
        if not isinstance(spec, Sparse):
            return {}
        late = [np.asarray(spec.delay)] if self._late else []
        order = np.lexsort((*late, np.asarray(spec.indices)))
        rows = np.repeat(np.arange(spec.outputs, dtype=np.int32), np.diff(spec.indptr))
        ends = np.concatenate([[0], np.cumsum(np.bincount(spec.indices, minlength=spec.inputs))])
        found = {"indptr": np.ascontiguousarray(spec.indptr, dtype=np.int64), "ends": ends.astype(np.int64)}
        found["place"] = order.astype(np.int32)
        found["rows"] = np.append(rows[:: kernel.BLOCK], rows[-1:])
        if late:  # what arrives late is found by its source alone
            return found | {"late": late[0][order].astype(np.uint16)}
        return found | {"columns": np.ascontiguousarray(spec.indices, dtype=np.int32)}

    @property
    def pattern_bytes(self) -> int:
        """Of memory for the pattern."""
        return sum(array.nbytes for array in self._pattern.values())

    # --- in a step

    def arrived(self, x: Tensor, learned: Learned, line: Line | None) -> Learned:
        """With what has come in now, and before where it is on its way still."""
        past = ([x] if line is None else line.past)[: self._longest + 1]
        before, of = learned.told, [sent.x for sent in learned.sent]
        if before is not None and len(of) >= len(past) - 1 and all(map(operator.is_, of, past[1:])):
            sent = (_sent(x), *learned.sent[: len(past) - 1])
        else:
            before, sent = None, tuple(map(_sent, past))
        return replace(learned, sent=sent, arrived=None, told=self._told(sent, before))

    def transmit(self, learned: Learned) -> Tensor | None:
        """(batch, outputs) of what came in; None where so much came in that the whole product is faster."""
        job = _of(learned).job
        x = learned.sent[0].x
        if isinstance(self._spec, Dense) and len(learned.sent[0].active) > _MOST * x.numel():
            return None
        weight, made = learned.weight.contiguous(), x.new_empty(len(x), self._outputs)
        job.weight, job.y = weight.data_ptr(), made.data_ptr()
        kernel.transmit(job, x.dtype == torch.float64)
        return made

    def learn(self, learned: Learned, known: Mapping[str, Tensor]) -> Learned:
        """After a step: weights, and traces that synapses have of their own.

        Args:
            learned: of before.
            known: name -> what formulas read, of one number a sample, a source or a target.
        """
        rule, batch = self._rule, len(learned.sent[0].x)
        learned = self._decayed(learned if learned.owned else self._owning(learned))
        due = (learned.step + 1) % rule.every == 0
        formulas = len(self._own) + (due and bool(rule.update))
        if not formulas:
            self.touched = 0
            return learned
        told = _of(learned)
        job = told.job
        job.weight = learned.weight.data_ptr()
        job.marks = None if learned.marks is None else learned.marks.ctypes.data
        triggers = self._triggers[due]
        job.by_source, job.by_target = "pre" in triggers, "post" in triggers
        job.formulas = formulas
        everything = np.full(batch, due and learned.outside, dtype=np.uint8)
        for name in triggers - {"pre", "post"}:
            everything |= (known[name].detach().reshape(-1) != 0).numpy()
        post = known["post"].contiguous()
        job.everything, job.post = everything.ctypes.data, post.data_ptr()
        told.held = [everything, post, *self._operands_in(job, learned, known)]
        self.touched = kernel.learn(job, learned.weight.dtype == torch.float64)
        return replace(learned, outside=learned.outside and not due)

    def _owning(self, learned: Learned) -> Learned:
        """The same in memory of its own."""
        rule = self._rule
        low, high = (float(x) for x in torch.aminmax(learned.weight)) if learned.weight.numel() else (rule.low,) * 2
        weight = learned.weight.detach().clone(memory_format=torch.contiguous_format)
        marks = np.zeros(-(-weight.numel() // 8), dtype=np.uint8) if self._late else None
        plain = learned.plain()
        own = {n: plain[n].clone(memory_format=torch.contiguous_format) for n in self._own}
        scales = dict.fromkeys(self._own, 1.0)
        return replace(
            learned,
            weight=weight,
            traces={**plain, **own},
            scales=scales,
            owned=True,
            outside=low < rule.low or high > rule.high,
            marks=marks,
        )

    def _decayed(self, learned: Learned) -> Learned:
        """The synapses' traces a step later."""
        scales = {name: scale * self._own[name].decay for name, scale in learned.scales.items()}
        for name, scale in scales.items():
            if scale < SMALLEST:
                learned.traces[name].mul_(scale)
                scales[name] = 1.0
        return replace(learned, scales=scales)

    # --- what the kernel is told

    @cached_property
    def _fixed(self) -> Job:
        """What is the same at every step."""
        rule, job = self._rule, Job()
        job.inputs, job.outputs, job.shared = self._inputs, self._outputs, rule.shared
        job.synapses = len(self._spec.indices) if isinstance(self._spec, Sparse) else self._inputs * self._outputs
        job.low, job.high, job.operands = rule.low, rule.high, len(self._operands)
        for name, array in self._pattern.items():
            setattr(job, name, array.ctypes.data)
        count = 0
        for n, (name, formula) in enumerate(self._formulas):
            first = count
            for product in formula:
                self._term_in(job.term[count], product)
                count += 1
            sets = name in self._own and self._own[name].sets
            job.formula[n] = kernel.Formula(first, count, self._operands.index(name), sets)
        return job

    def _told(self, sent: tuple[Sent, ...], before: Told | None) -> Told:
        """What sending and learning both read; ``before``: of the step that all but the newest were sent before."""
        job, newest = Job.from_buffer_copy(self._fixed), sent[0]
        table = np.empty((3, len(sent)), dtype=np.int64)
        if before is None:
            table[:] = np.array([(*each.at, len(each.active)) for each in sent]).T
        else:
            table[:, 0] = *newest.at, len(newest.active)
            table[:, 1:] = before.table[:, : len(sent) - 1]
        ranges = np.empty((int(table[2].sum()) if self._pattern else 0, 2), dtype=np.int32)
        place, row = table.ctypes.data, 8 * len(sent)
        job.batch, job.lags = len(newest.x), len(sent)
        job.x, job.active, job.counts, job.ranges = place, place + row, place + 2 * row, ranges.ctypes.data
        job.before = None if before is None else before.ranges.ctypes.data
        return Told(job, table, ranges, [before and before.ranges])

    def _operands_in(self, job: Job, learned: Learned, known: Mapping[str, Tensor]) -> list[Tensor]:
        """Write what formulas read; the tensors must live as long as the job."""
        held = []
        for n, name in enumerate(self._operands):
            if name in ("w", "pre"):
                job.operand[n] = Operand(Kind.WEIGHT if name == "w" else Kind.ARRIVING)
                continue
            mine = name in self._own
            value = (learned.traces[name] if mine else known[name]).contiguous()
            kinds = {"all": Kind.ALL, "pre": Kind.SOURCE, "post": Kind.TARGET, "synapse": Kind.SYNAPSE}
            kind = Kind.SYNAPSE if mine else kinds[self._extents[name]]
            job.operand[n] = Operand(kind, value[0].numel(), value.data_ptr(), learned.scales.get(name, 1.0))
            held.append(value)
        return held

    def _term_in(self, term: kernel.Term, product: Product) -> None:
        """Write a product: names of one side in a bracket, in the order of the tensor code."""
        brackets: dict[Extent, list[str]] = {}
        for name in product.names:
            brackets.setdefault(self._extents[name], []).append(name)
        term.factor, term.count = product.factor, len(product.names)
        n = 0
        for names in brackets.values():
            for place, name in enumerate(names):
                term.names[n], term.opens[n] = self._operands.index(name), place == 0
                n += 1


def _of(learned: Learned) -> Told:
    if learned.told is None:
        raise RuntimeError("nothing has arrived")
    return learned.told


def _sent(x: Tensor) -> Sent:
    """What came in, looked through once."""
    x = x.contiguous()
    active = np.flatnonzero(x.detach().numpy() != 0)  # twice as fast as to look for numbers
    return Sent(x, active, (x.data_ptr(), active.ctypes.data))
