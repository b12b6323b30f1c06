"""What a checkpoint holds beside its parameters so that a graph comes out of the file alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from hasn.backends.snntorch.training.during import BatchNorm, Dropout
from hasn.errors import FileError, HasnError
from hasn.ir.load import load
from hasn.ir.save import save

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.options import Options


def origin_of(graph: nir.NIRGraph, options: Options, lowering: Mapping[str, Any]) -> dict[str, Any]:
    """The graph that training began with, as the bytes of a NIR file, and how it was compiled."""
    return {
        "graph": _packed(graph),
        "learn": dict(options.learn),
        "freeze": list(options.freeze),
        "during": {name: [_as_text(part) for part in parts] for name, parts in options.during.items()},
        "lowering": dict(lowering),
        "precision": options.precision,
        "keep_best": options.keep_best,
    }


def _as_text(part: Any) -> list[Any]:
    """[kind, {attribute: value}] of a BatchNorm or Dropout."""
    return [type(part).__name__, vars(part)]


def _part(kind: str, values: Mapping[str, Any]) -> BatchNorm | Dropout:
    return BatchNorm(**values) if kind == "BatchNorm" else Dropout(**values)


def _packed(graph: nir.NIRGraph) -> Any:
    """A tensor of bytes; None for a graph that no file holds."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        try:
            save(graph, path)
        except HasnError:
            return None
        return torch.from_numpy(np.fromfile(path, dtype=np.uint8))


def graph_of(checkpoint: str | Path, graph: nir.NIRGraph | None = None) -> nir.NIRGraph:
    """The graph as a checkpoint of :func:`hasn.train` has trained it.

    Args:
        checkpoint: the file. Of a training with ``keep_best`` the best epoch so far counts, else the last update.
        graph: that training began with; needed only where no NIR file could hold it.

    Raises:
        FileError: there is no such file, it is no checkpoint, or a damaged one.
        GraphError: ``graph`` is another one than it was trained from.
    """
    from hasn.backends.snntorch.training.checkpoint import bytes_of, damaged, read_checkpoint
    from hasn.backends.snntorch.training.checkpoint_form import Malformed, check_tensors
    from hasn.backends.snntorch.training.network import TrainedNetwork

    path = Path(checkpoint)
    content = bytes_of(path)
    if content is None:
        raise FileError("there is no such file", parameter=str(path), way_out="Check the path.")
    state = read_checkpoint(content, path)
    origin, progress = state["origin"], state["progress"]
    start = _unpacked(origin["graph"], path) if graph is None else graph
    network = TrainedNetwork(
        start, origin["learn"], None, origin["lowering"], origin["precision"], {}, origin["freeze"],
        {name: [_part(*part) for part in parts] for name, parts in origin["during"].items()},
    )  # fmt: skip
    best = progress.get("best_parameters") if origin["keep_best"] else None
    values = best or state["moving"].get("parameters")
    try:
        check_tensors(values, network.parameters, "parameters")
        masks = state["moving"].get("masks")
        check_tensors(masks, network.pruned.like(masks), "masks")
    except (Malformed, TypeError) as error:
        raise damaged(path, str(error)) from error
    network.load(values)
    network.pruned.load(masks)
    return network.to_graph()


def _unpacked(packed: Any, path: Path) -> nir.NIRGraph:
    if packed is None:
        raise FileError(
            "the checkpoint holds no graph, which no NIR file could hold",
            parameter=str(path),
            way_out="Pass the graph that training began with: hasn.training.graph_of(checkpoint, graph).",
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.nir"
        file.write_bytes(packed.numpy().tobytes())
        return load(file)
