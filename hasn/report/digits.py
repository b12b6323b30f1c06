"""Images, what each run makes of them, and the output spikes that say so."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasn.program.describe import counted
from hasn.report.facts import listed
from hasn.report.section import Section, caption
from hasn.report.style import key, run_class

_SHOWN = 8
#: Pixels: of the bars' room, of the numbers on them, of the classes under them.
_BARS, _ABOVE, _BELOW = 64.0, 14.0, 18.0


def digits_section(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    counts: Mapping[str, ArrayLike],
    *,
    title: str = "What the network saw, and what each run made of it",
) -> Section:
    """Eight images, each with its output spikes as one bar a class; bars of single runs only where counts differ.

    Shown are first the images on which runs disagree, then true errors, then an error by a tie, then others.

    Args:
        images: (N, height, width) grey levels.
        labels: (N,) true classes.
        predictions: run label -> (N,) classes.
        counts: run label -> (N, classes) output spikes.
        title: heading of the section.
    """
    pictures, truth = np.asarray(images), np.asarray(labels).astype(int)
    said = {label: np.asarray(values).astype(int) for label, values in predictions.items()}
    fired = {label: np.asarray(values) for label, values in counts.items()}
    chosen = _choose(truth, said, fired)
    cards = "".join(
        _card(pictures[n], int(truth[n]), {k: int(v[n]) for k, v in said.items()}, {k: v[n] for k, v in fired.items()})
        for n in chosen
    )
    stack = np.stack([values[chosen] for values in fired.values()]) if fired else np.zeros((1, 0))
    colours = {label: run_class(place) for place, label in enumerate(fired)}
    legend = key(colours, "Where counts differ, a bar for each run:") if (stack != stack[0]).any() else ""
    return Section(title, f'{legend}<ul class="digits">{cards}</ul>{caption(_summary(truth, said, fired, chosen))}')


def _summary(
    truth: NDArray[Any], said: Mapping[str, NDArray[Any]], fired: Mapping[str, NDArray[Any]], chosen: Sequence[int]
) -> str:
    """How many are shown, how many are right, how many errors are ties of counts, whether all runs say the same."""
    total = len(truth)
    words = [
        f"{len(chosen)} of {counted(total, 'image')}; mistakes are picked first. A bar is an output neuron's spikes; "
        "the image is read as the class with most, of equal ones as the lowest."
    ]
    split = int(_split(said, total).sum())
    if len(said) > 1:
        words.append(
            f"The runs disagree on {split} of the {total:,}." if split else f"All runs read all {total:,} alike."
        )
    for label, values in list(said.items())[: None if split else 1]:
        wrong = np.flatnonzero(values != truth)
        ties = sum(_is_tie(fired[label][n], int(truth[n])) for n in wrong) if label in fired else 0
        who = f"{label} reads" if split else "They read" if len(said) > 1 else f"{label} reads"
        what = f"{who} {total - len(wrong):,} rightly and {len(wrong):,} wrongly"
        tied = f", {ties:,} of these by a tie: the true class has as many spikes" if ties else ""
        words.append(f"{what}{tied}.")
    return " ".join(words)


def _split(said: Mapping[str, NDArray[Any]], total: int) -> NDArray[np.bool_]:
    """Images that not all runs read alike."""
    stack = np.stack(list(said.values())) if said else np.zeros((1, total), dtype=int)
    return np.asarray((stack != stack[0]).any(axis=0))


def _is_tie(counts: NDArray[Any], truth: int) -> bool:
    """Whether no class has more spikes than the true one."""
    return bool(truth < len(counts) and counts[truth] == counts.max())


def _choose(truth: NDArray[Any], said: Mapping[str, NDArray[Any]], fired: Mapping[str, NDArray[Any]]) -> list[int]:
    """Disagreements, two true errors, one error by a tie, then one image of each class in turn."""
    split = _split(said, len(truth))
    first = next(iter(said.values()), truth)
    counts = next(iter(fired.values()), np.zeros((len(truth), 0)))
    wrong = np.flatnonzero((first != truth) & ~split).tolist()
    ties = [n for n in wrong if _is_tie(counts[n], int(truth[n]))]
    errors = [n for n in wrong if n not in ties]
    first_of_class = {int(label): n for n, label in reversed(list(enumerate(truth)))}
    rest = [first_of_class[label] for label in sorted(first_of_class)]
    order = [*np.flatnonzero(split)[:4].tolist(), *errors[:2], *ties[:1], *rest, *range(len(truth))]
    return sorted(list(dict.fromkeys(order))[:_SHOWN], key=lambda n: (int(truth[n]), n))


# --- one image


def _card(picture: NDArray[Any], truth: int, said: Mapping[str, int], fired: Mapping[str, NDArray[Any]]) -> str:
    name = f"{article(truth)} {truth}"
    kind, words = _reading(truth, said, fired)
    alt = f"The image of {name}"
    return (
        f'<li class="digit {kind}"><div class="seen"><img class="pixels" alt="{alt}" src="{png(picture)}">'
        f"<p><b>{name}</b><br>{words}</p></div>{_bars(truth, said, fired)}</li>"
    )


def article(number: int) -> str:
    """ "an" before what begins with a vowel's sound: 8, 11, 18, 80, 800."""
    return "an" if number in (11, 18) or str(number).startswith("8") else "a"


def _reading(truth: int, said: Mapping[str, int], fired: Mapping[str, NDArray[Any]]) -> tuple[str, str]:
    """A class for the page, and what the runs read, in one line if all read the same."""
    read = set(said.values())
    if len(read) > 1:
        return "split", "<br>".join(
            f'<span class="{"" if value == truth else "wrong"}">{escape(label)}: {value}</span>'
            for label, value in said.items()
        )
    value = next(iter(read), truth)
    if value == truth:
        return "right", f"read as {value}"
    if fired and all(_is_tie(counts, truth) for counts in fired.values()):
        spikes = int(next(iter(fired.values()))[truth])
        return "tie", f'<span class="wrong">read as {value}: a tie, {counted(spikes, "spike")} each</span>'
    return "error", f'<span class="wrong">read as {value}: an error</span>'


def _bars(truth: int, said: Mapping[str, int], fired: Mapping[str, NDArray[Any]]) -> str:
    """A bar a class in one ink where all runs count the same, else one for each run; the number on it."""
    if not fired:
        return ""
    counts = np.stack(list(fired.values()))
    classes, most = counts.shape[1], max(1, int(counts.max(initial=0)))
    parts = []
    for number in range(classes):
        left, wide = 100 * number / classes, 100 / classes
        column, same = counts[:, number], bool((counts[:, number] == counts[0, number]).all())
        shown = column[:1] if same else column
        for place, count in enumerate(shown):
            height = _BARS * int(count) / most
            across = 0.8 * wide / len(shown)
            chosen = " read" if number in said.values() else ""
            kind = f"all{chosen}" if same else run_class(place)
            parts.append(
                f'<rect class="bar {kind}" x="{left + 0.1 * wide + place * across:.2f}%" width="{across:.2f}%" '
                f'y="{_ABOVE + _BARS - height:.1f}" height="{height:.1f}"/>'
            )
        middle, above = f"{left + wide / 2:.2f}%", _ABOVE + _BARS * (1 - int(column.max()) / most) - 3
        if not same:
            parts.append(f'<text class="differs across" x="{middle}" y="{above:.1f}">≠</text>')
        elif column[0]:
            parts.append(f'<text class="tick across" x="{middle}" y="{above:.1f}">{int(column[0])}</text>')
        parts.append(
            f'<text class="{"true" if number == truth else "tick"} across" x="{middle}" '
            f'y="{_ABOVE + _BARS + _BELOW - 4:.0f}">{number}</text>'
        )
    base = f'<line class="base" x1="0" x2="100%" y1="{_ABOVE + _BARS}" y2="{_ABOVE + _BARS}"/>'
    alt = escape(_alt(truth, said, fired), quote=True)
    size = f'width="100%" height="{_ABOVE + _BARS + _BELOW:.0f}"'
    return f'<svg class="bars" role="img" aria-label="{alt}" {size}>{"".join(parts)}{base}</svg>'


def _alt(truth: int, said: Mapping[str, int], fired: Mapping[str, NDArray[Any]]) -> str:
    """What was read, and all counts that are not 0."""
    values = set(said.values())
    read = (
        f"read as {next(iter(values))}"
        if len(values) == 1
        else listed([f"{v} by {label}" for label, v in said.items()])
    )
    texts = {
        label: ", ".join(f"{n}: {int(c)}" for n, c in enumerate(row) if c) or "none" for label, row in fired.items()
    }
    same = len(set(texts.values())) == 1
    spikes = next(iter(texts.values())) if same else "; ".join(f"{label} {text}" for label, text in texts.items())
    return f"{article(truth)} {truth}, {read}. Output spikes by class: {spikes}"


def png(picture: NDArray[Any]) -> str:
    """An image as a data URL: black, as opaque as a pixel is bright, so that the page's paper shows through.

    PNG, ISO/IEC 15948: colour type 4 (grey and alpha), no filter.
    """
    grey = np.asarray(picture, dtype=np.float64)
    low, high = float(grey.min(initial=0.0)), float(grey.max(initial=0.0))
    alpha = np.round(255 * (grey - low) / ((high - low) or 1.0)).astype(np.uint8)
    rows = np.zeros((alpha.shape[0], 1 + 2 * alpha.shape[1]), dtype=np.uint8)
    rows[:, 2::2] = alpha
    header = struct.pack(">IIBBBBB", alpha.shape[1], alpha.shape[0], 8, 4, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    chunks = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode("ascii")
