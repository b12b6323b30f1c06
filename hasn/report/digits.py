"""Images, what each backend makes of them, and the output spikes that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasn.report.figure import dress, figure_html, new_figure
from hasn.report.section import Section, caption
from hasn.report.style import DIFFERENT, INK, Look, looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN, _COLUMNS = 8, 4


def digits_section(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    counts: Mapping[str, ArrayLike],
    *,
    title: str = "What the network saw, and what each backend made of it",
) -> Section:
    """Eight images with the output spikes of all backends over each other and their predictions.

    Shown are first the images on which backends disagree, then those that are classified wrongly, then others.

    Args:
        images: (N, height, width) grey levels.
        labels: (N,) true classes.
        predictions: backend label -> (N,) classes.
        counts: backend label -> (N, classes) output spikes.
        title: heading of the section.
    """
    pictures, truth = np.asarray(images), np.asarray(labels).astype(int)
    said = {label: np.asarray(values).astype(int) for label, values in predictions.items()}
    fired = {label: np.asarray(values) for label, values in counts.items()}
    chosen = _choose(truth, said)
    figure = _figure(pictures, truth, said, fired, chosen)
    split = sum(int(len({int(values[n]) for values in said.values()}) > 1) for n in range(len(truth)))
    agree = "All backends give the same prediction for every one" if not split else f"Backends disagree on {split}"
    text = (
        f"{len(chosen)} of {len(truth):,} images, with the spikes that each output neuron fired on each backend: bars "
        f"of equal length are equal counts. {agree} of the {len(truth):,} images."
    )
    return Section(title, figure_html(figure, _alt(truth, said, chosen)) + caption(text))


def _choose(truth: NDArray[Any], said: Mapping[str, NDArray[Any]]) -> list[int]:
    """Disagreements, up to two mistakes, then one image of each class in turn."""
    stack = np.stack(list(said.values())) if said else truth[np.newaxis]
    split = np.flatnonzero((stack != stack[0]).any(axis=0)).tolist()
    wrong = np.flatnonzero((stack[0] != truth) & ~(stack != stack[0]).any(axis=0)).tolist()
    first_of_class = {int(label): n for n, label in reversed(list(enumerate(truth)))}
    order = [*split[:4], *wrong[:2], *[first_of_class[label] for label in sorted(first_of_class)], *range(len(truth))]
    return sorted(list(dict.fromkeys(order))[:_SHOWN], key=lambda n: (int(truth[n]), n))


def _alt(truth: NDArray[Any], said: Mapping[str, NDArray[Any]], chosen: Sequence[int]) -> str:
    words = [
        f"a {truth[n]} read as {', '.join(f'{values[n]} by {label}' for label, values in said.items())}" for n in chosen
    ]
    return "Images and output spikes: " + "; ".join(words)


def _figure(
    pictures: NDArray[Any],
    truth: NDArray[Any],
    said: Mapping[str, NDArray[Any]],
    fired: Mapping[str, NDArray[Any]],
    chosen: Sequence[int],
) -> Figure:
    rows = -(-len(chosen) // _COLUMNS)
    width, cell = 10.4, 2.75
    figure = new_figure(width, rows * cell + 0.35)
    order = looks(list(fired))
    for place, n in enumerate(chosen):
        x = (place % _COLUMNS) / _COLUMNS
        y = 1 - (0.35 + (place // _COLUMNS + 1) * cell) / (rows * cell + 0.35)
        high = cell / (rows * cell + 0.35)
        picture = figure.add_axes((x + 0.004, y + 0.34 * high, 0.085, 0.085 * width / (rows * cell + 0.35)))
        picture.imshow(pictures[n], cmap="gray_r", interpolation="nearest")
        picture.set_axis_off()
        _words(picture, int(truth[n]), {label: int(values[n]) for label, values in said.items()})
        bars = figure.add_axes((x + 0.118, y + 0.18 * high, 0.122, 0.74 * high))
        _bars(bars, {label: values[n] for label, values in fired.items()}, order, int(truth[n]))
    _legend(figure, order)
    return figure


def _words(axes: Any, truth: int, said: Mapping[str, int]) -> None:
    """The class above the image, the predictions under it: one word if all say the same."""
    axes.set_title(f"a {truth}", fontsize=10, color=INK, pad=3)
    if len(set(said.values())) == 1:
        value = next(iter(said.values()))
        lines = [(f"read as {value}", INK if value == truth else DIFFERENT)]
    else:
        lines = [(f"{label}: {value}", INK if value == truth else DIFFERENT) for label, value in said.items()]
    for place, (line, colour) in enumerate(lines):
        axes.annotate(line, (0.5, 0), xytext=(0, -11 - 9 * place), xycoords="axes fraction", textcoords="offset points",
                      ha="center", fontsize=8.5 if len(lines) == 1 else 7, color=colour)  # fmt: skip


def _bars(axes: Any, fired: Mapping[str, NDArray[Any]], order: Sequence[Look], truth: int) -> None:
    """Bars inside each other, the reference's the thickest: equal counts end at one edge."""
    classes = np.arange(max((len(values) for values in fired.values()), default=0))
    for look in order:
        axes.barh(classes, fired[look.label], height=0.86 * look.size, color=look.colour, linewidth=0)
    counts = np.stack([fired[look.label] for look in order])
    for number in np.flatnonzero((counts != counts[0]).any(axis=0)):
        axes.annotate("≠", (counts[:, number].max(), number), xytext=(3, 0), textcoords="offset points", va="center",
                      color=DIFFERENT, fontsize=11, fontweight="bold", annotation_clip=False)  # fmt: skip
    dress(axes, xlabel="output spikes")
    axes.set_yticks(classes, [str(c) for c in classes])
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(0, max(1, float(counts.max(initial=1))) * 1.08)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=4)
    for text in axes.get_yticklabels():
        if text.get_text() == str(truth):
            text.set_fontweight("bold")


def _legend(figure: Figure, order: Sequence[Look]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=look.colour, label=look.label) for look in order]
    figure.legend(handles=handles, loc="upper left", ncols=len(order), frameon=False, fontsize=9, labelcolor=INK,
                  borderpad=0.2, handlelength=1.0, handleheight=0.9)  # fmt: skip
