"""What a comparison comes to, in a headline and a sentence: the command line and the page begin with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasn.program.describe import counted
from hasn.report.facts import backend_of, error_text, listed, others, sentence, sized

if TYPE_CHECKING:
    from hasn.agreement import Comparison


@dataclass(frozen=True)
class Verdict:
    """The result in a headline and a sentence.

    Attributes:
        ok: what ``Comparison.ok`` says.
        compared: what ``Comparison.compared`` says.
        headline: "All four runs agree" and the like.
        sentence: who was compared, over what, and how many spikes differ.
    """

    ok: bool
    compared: bool
    headline: str
    sentence: str


def verdict(comparison: Comparison) -> Verdict:
    """The line on top of everything: who agrees, differing spikes by precision, and over what they were counted."""
    labels = others(comparison)
    if not labels:
        alone = f"Only {comparison.reference} ran, so there is no other to hold it against."
        return Verdict(comparison.ok, comparison.compared, "Nothing to compare", alone)
    if comparison.ok and not comparison.compared:
        return Verdict(comparison.ok, False, "Nothing was compared", _silence(comparison))
    counts: dict[str, int] = {}
    for label in labels:
        precision = comparison.recordings[label].precision or "unknown precision"
        counts[precision] = counts.get(precision, 0) + comparison.differing[label]
    found = ", ".join(f"{counted(n, 'differing spike')} in {precision}" for precision, n in counts.items())
    spikes = comparison.recordings[comparison.reference].counts.total_spikes
    who = listed([backend_of(label) for label in labels])
    ties = sum(comparison.ties[label] for label in labels)
    apart = f" {counted(ties, 'tie')} (a voltage within rounding of the threshold) counted apart." if ties else ""
    over = f"{who} against the {spikes:,} spikes of {comparison.reference}, over {sized(comparison)}."
    silent = f" No spike of {listed(list(comparison.silent))} on any of them." if comparison.silent else ""
    zeros = f" Nothing but zeros at {listed(list(comparison.zero_outputs))}." if comparison.zero_outputs else ""
    told = f"{found}: {over}{apart}{silent}{zeros}{_learned(comparison, labels)}"
    return Verdict(comparison.ok, comparison.compared, _headline(comparison, ties), told)


def _headline(comparison: Comparison, ties: int) -> str:
    """ "All four runs agree", or who differs from the reference."""
    labels = others(comparison)
    if comparison.ok:
        return f"{sentence(runs_text(len(labels) + 1), stop='')} agree{', ties apart' if ties else ''}"
    wrong = [label for label in labels if comparison.differing[label]]
    if not wrong and any(comparison.first_weight(label) for label in labels):
        return "No spike differs, but weights that are learned do"
    if not wrong:
        return "No spike differs, but the chip's integers do"
    return f"{listed(wrong)} {'differ' if len(wrong) > 1 else 'differs'} from {comparison.reference}"


def _learned(comparison: Comparison, labels: list[str]) -> str:
    """What is to say of weights."""
    if not comparison.network.plastic:
        return ""
    learners = listed([plastic.name for plastic in comparison.network.plastic])
    largest = max(comparison.max_weight_error[label] for label in labels)
    wrong = [label for label in labels if comparison.first_weight(label)]
    if wrong:
        return (
            f" What {learners} learned differs on {listed(wrong)}, by up to {error_text(largest)} of a largest weight."
        )
    return f" Weights of {learners} are the same at every step, to {error_text(largest)} of the largest."


def runs_text(count: int) -> str:
    """ "both runs", "all four runs"."""
    return "both runs" if count == 2 else f"all {number_text(count)} runs"


def number_text(count: int) -> str:
    """A number up to nine in words."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else f"{count:,}"


def hardware_note(comparison: Comparison) -> str:
    """Where Lava ran; nothing if it did not."""
    ran = [label for label, recording in comparison.recordings.items() if recording.backend == "lava"]
    if not ran:
        return ""
    integers = any(comparison.recordings[label].precision == "loihi" for label in ran)
    arithmetic = "the chip's integers" if integers else "floating point"
    return f"Lava is simulated on the CPU, in {arithmetic}: no chip took part."


def _silence(comparison: Comparison) -> str:
    """Why an agreement of zeros says nothing."""
    who = listed([backend_of(label) for label in comparison.recordings])
    if not comparison.silent:
        return f"no spikes: nothing in the network spikes, on {who}, over {sized(comparison)}."
    return (
        f"no spikes on {who}, over {sized(comparison)}. Give stronger or longer inputs, and look at the thresholds and "
        "at what hasn check says of the edges."
    )
