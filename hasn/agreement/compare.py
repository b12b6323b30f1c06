"""`hasn.compare`: the same graph and input on several backends, held against a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from hasn.agreement.comparison import Comparison
from hasn.agreement.judge import judge
from hasn.backend import get_backend
from hasn.compiler import Ready, compile_ready, precision_of, ready
from hasn.errors import BackendUnavailable, HasnError, OptionError, UnsupportedError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.model import Program
from hasn.recording import Array, Recording
from hasn.signals import Signals, modulated, signals


def compare(
    network: nir.NIRGraph | Program | Any,
    inputs: Any = None,
    *,
    backends: Sequence[str] = ("snntorch", "brian2", "lava"),
    reference: str = "brian2",
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str | None = None,
    steps: int | None = None,
    modulators: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
    **backend_options: Any,
) -> Comparison:
    """Run a network on several backends and say, spike by spike, whether they ran the same one.

    It is checked, lowered and composed once for all of them.

    Args:
        network: a graph, a :class:`hasn.QuantisedNetwork`, or a Program.
        inputs: as for ``Executable.run``.
        backends: labels: a backend's name, or ``name:precision`` ("snntorch:float32").
        reference: the label that the others are held against; run too, if ``backends`` does not name it.
        dt, method, reset, timing, precision: as for :func:`hasn.compile`.
        steps: T, for a graph without Inputs.
        modulators: as for ``Executable.run``.
        progress: called with each label before it runs.
        **backend_options: given to each backend that has an option of that name.

    Returns:
        The comparison. A backend that is not installed, or that refuses the graph, is listed in ``skipped`` with its
        reason, and does not count as agreement.

    Raises:
        OptionError: unknown backend or option, or fewer than two backends that could run.
        BackendUnavailable, UnsupportedError: the reference cannot run.
        GraphError, ParameterError, TimeStepError, InputError: the graph, dt or the input has no meaning.
    """
    exactness = precision_of(network, precision)
    parsed = _parsed([reference, *backends], exactness)
    _refuse_unknown_options(parsed, backend_options)
    made = ready(network, dt, method, reset, timing)
    program = made.program
    given = signals(program, modulated(program, inputs, modulators), steps)
    asked = replace(given, values={source.name: given.values[source.name] for source in program.inputs})
    recordings, skipped = _run_all(made, parsed, asked, reference, progress, backend_options)
    if len(recordings) < 2:
        raise OptionError(
            "nothing to compare: only the reference could run",
            parameter="backends",
            got=", ".join(dict.fromkeys([reference, *backends])),
            wanted="two backends that can run here",
            way_out="; ".join(f"{label}: {why}" for label, why in skipped.items())
            or f"Name another than the reference, e.g. {_another(reference)}.",
        )

    def other_method() -> Program | None:
        if made.graph is None:
            return None
        other = "exact" if program.method == "euler" else "euler"
        try:
            return lower(made.graph, dt=program.dt, method=other, reset=reset, timing=program.timing)
        except HasnError:  # dt is too long for Euler steps: then nobody took them
            return None

    return judge(program, fuse(program), given.values, recordings, reference, skipped, other_method)


def _run_all(
    made: Ready,
    parsed: dict[str, tuple[str, str]],
    given: Signals,
    reference: str,
    progress: Callable[[str], None] | None,
    backend_options: dict[str, Any],
) -> tuple[dict[str, Recording], dict[str, str]]:
    """({label: recording}, {label: why it did not run})."""
    recordings: dict[str, Recording] = {}
    skipped: dict[str, str] = {}
    for label, (name, exactness) in parsed.items():
        backend = get_backend(name)
        options = {key: value for key, value in backend_options.items() if key in backend.options()}
        if exactness not in backend.precisions and label != reference:
            skipped[label] = f"{name} does not compute in {exactness}"
            continue
        if progress:
            progress(label)
        try:
            with compile_ready(made, name, exactness, options) as executable:
                recording = executable.run(given.values, record=executable.recordable, steps=given.steps)
                recordings[label] = _with_batch(recording)
        except (BackendUnavailable, UnsupportedError) as error:
            if label == reference:
                raise
            skipped[label] = _reason(error)
    return recordings, skipped


def _with_batch(recording: Recording) -> Recording:
    """The recording with a batch axis, which that of a graph without Inputs lacks."""
    if recording.batched:
        return recording

    def grown(group: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array[:, np.newaxis] for name, array in group.items()}

    return replace(
        recording,
        outputs=grown(recording.outputs),
        spikes=grown(recording.spikes),
        voltages=grown(recording.voltages),
        currents=grown(recording.currents),
        more={group: grown(kept) for group, kept in recording.more.items()},
        batched=True,
    )


def _parsed(labels: Sequence[str], precision: str) -> dict[str, tuple[str, str]]:
    """{label: (backend, precision)}; of labels that mean the same run the first alone: it would only agree with itself.

    Raises:
        OptionError: no such backend, or none of its precisions.
    """
    found: dict[str, tuple[str, str]] = {}
    for label in labels:
        run = _parse(label, precision)
        if run not in found.values():
            found[label] = run
    return found


def _another(reference: str) -> str:
    return "snntorch" if reference.partition(":")[0] != "snntorch" else "brian2"


def _parse(label: str, precision: str) -> tuple[str, str]:
    """("snntorch", "float32") of "snntorch:float32".

    Raises:
        OptionError: no such backend, or none of its precisions.
    """
    name, _, exactness = label.partition(":")
    backend = get_backend(name)
    if exactness and exactness not in backend.precisions:
        raise OptionError(
            f"unknown precision for {name}",
            parameter="backends",
            got=repr(label),
            wanted=" or ".join(f"{name}:{p}" for p in backend.precisions),
        )
    return name, exactness or precision


def _refuse_unknown_options(parsed: dict[str, tuple[str, str]], options: dict[str, Any]) -> None:
    known = {option for name, _ in parsed.values() for option in get_backend(name).options()}
    for option in sorted(set(options) - known):
        raise OptionError(
            "none of the backends has such an option",
            parameter=option,
            got=repr(options[option]),
            wanted=", ".join(sorted(known)),
        )


def _reason(error: Exception) -> str:
    return getattr(error, "message", str(error)) if isinstance(error, BackendUnavailable) else str(error)
