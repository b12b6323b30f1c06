"""Lightweight adapters: analogue samples into a spiking network by one linear projection, class probabilities out.

The way in is a node of the graph, so it trains, compiles and saves as any other. The way out is a function of what the
Output showed; it takes NumPy arrays, and torch tensors with their gradients, and imports neither simulator nor torch.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError, OptionError
from hasn.ir.typed import copy_graph, set_types
from hasn.nodes.kind import shape_of
from hasn.nodes.values import array_of
from hasn.program.model import Shape
from hasn.recording import Recording

#: Ways of reading a score for each class out of (T, batch, classes), and the loss that reads the same.
READS = {"counts": "rate", "max": "membrane", "mean": None, "last": None}


# --- in


def with_projection(
    graph: nir.NIRGraph,
    features: int | None = None,
    *,
    weight: Any = None,
    bias: Any = None,
    gain: float = 1.0,
    seed: int = 0,
    name: str = "projection",
    input: str | None = None,
) -> nir.NIRGraph:
    """A new graph that takes analogue samples: ``I = W x + b`` stands between its Input and what was behind it.

    ``x`` are the features of a sample, without unit; ``I`` is what the Input gave before (input currents, or spikes).
    Where no weight is given, W is drawn uniformly in ``+-gain * sqrt(6 / (features + n))`` and b is 0 (Glorot & Bengio,
    Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010, equation 16): I then varies
    about as much as x does.

    Args:
        graph: the network; not changed. dt and all other metadata are kept.
        features: numbers of a sample; may be left out where the weight says it.
        weight: W, (n, features) for an Input of shape (n,). An Input of shape (..., n) becomes one of shape
            (..., features), and W is (..., n, features): each leading index has a projection of its own, as NIR's
            Affine has it.
        bias: b, of the Input's shape.
        gain: factor of drawn weights.
        seed: of the draw.
        name: of the new node, an Affine.
        input: which Input, where there are several.

    Returns:
        A plain NIR graph, whose Input (of the same name) now takes (T, batch, ..., features); see :func:`held`.

    Raises:
        OptionError: no such Input, a name that is taken, weights or biases of another shape or not finite.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError("not a NIR graph", parameter="graph", got=type(graph).__name__, wanted="nir.NIRGraph")
    source = _input(graph, input)
    if name in graph.nodes or not isinstance(name, str) or not name or "/" in name:
        wanted = "a name that no node has, without '/'"
        raise OptionError("the new node cannot have this name", parameter="name", got=repr(name), wanted=wanted)
    shape = shape_of(graph.nodes[source].input_type["input"])
    if not shape:
        raise OptionError("the Input has no shape", node=source, parameter="graph", wanted="(n,) or (..., n)")
    drawn = _weight(shape, features, gain, seed) if weight is None else _given(weight, shape, features)
    offset = np.zeros(shape, dtype=drawn.dtype) if bias is None else _numbers(bias, "bias", shape)
    new = copy_graph(graph)
    metadata = new.nodes[source].metadata
    new.nodes[source] = nir.Input(np.array([*shape[:-1], drawn.shape[-1]]))
    new.nodes[source].metadata = metadata
    new.nodes[name] = nir.Affine(drawn, offset)
    edges = [(name if begin == source else begin, end) for begin, end in new.edges]
    return set_types(nir.NIRGraph(new.nodes, [(source, name), *edges], metadata=new.metadata, type_check=False))


def _input(graph: nir.NIRGraph, chosen: str | None) -> str:
    inputs: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if chosen is None and len(inputs) == 1:
        return inputs[0]
    if chosen is None or chosen not in inputs:
        what = "no such Input" if chosen is not None else f"the graph has {len(inputs)} Inputs"
        got = None if chosen is None else repr(chosen)
        raise OptionError(what, parameter="input", got=got, wanted=", ".join(sorted(inputs)) or "a graph with an Input")
    return chosen


def _weight(shape: Shape, features: int | None, gain: float, seed: int) -> NDArray[np.float32]:
    if isinstance(features, bool) or not isinstance(features, int | np.integer) or features < 1:
        raise OptionError(
            "no such number of features", parameter="features", got=repr(features), wanted="an integer >= 1, or weight"
        )
    if not isinstance(gain, int | float) or not 0 < gain < float("inf"):
        raise OptionError("no such value", parameter="gain", got=repr(gain), wanted="a number > 0")
    bound = gain * np.sqrt(6.0 / (features + shape[-1]))
    drawn = np.random.default_rng(seed).uniform(-bound, bound, (*shape, features))
    return drawn.astype(np.float32)  # whose sums in float64 are exact, so that backends agree to the last bit


def _given(weight: Any, shape: Shape, features: int | None) -> NDArray[Any]:
    count = (np.shape(weight) or (0,))[-1] if features is None else features
    return _numbers(weight, "weight", (*shape, int(count)))


def _numbers(value: Any, parameter: str, shape: Shape) -> NDArray[Any]:
    """A copy of an array of this shape.

    Raises:
        OptionError: it has another shape, or holds something else than finite real numbers.
    """
    array = np.array(array_of(value))
    if array.dtype.kind not in "biuf" or array.shape != shape or not array.size or not np.isfinite(array).all():
        got = f"{array.dtype} {array.shape}"
        got += ", not all finite" if array.dtype.kind == "f" and not np.isfinite(array).all() else ""
        raise OptionError("does not fit the Input", parameter=parameter, got=got, wanted=f"finite numbers {shape}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def held(samples: Any, steps: int) -> Any:
    """Static samples, held constant: ``y[t] = x`` for t = 0 .. T-1.

    Args:
        samples: (batch, *features), an array or a torch tensor.
        steps: T.

    Returns:
        (T, batch, *features): a copy of an array, and of a tensor a view that takes no memory and passes gradients.

    Raises:
        InputError: no array of samples.
        OptionError: no such number of steps.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise OptionError("no such number of steps", parameter="steps", got=repr(steps), wanted="an integer >= 1")
    if hasattr(samples, "expand"):
        values: Any = samples
    else:
        values = np.asarray(samples)
        if values.dtype.kind not in "biuf":
            raise InputError("not an array of real numbers", parameter="samples", got=str(values.dtype))
    if values.ndim < 2:
        raise InputError("no samples", parameter="samples", got=tuple(values.shape), wanted="(batch, *features)")
    return values.expand(steps, *values.shape) if hasattr(values, "expand") else np.repeat(values[None], steps, axis=0)


# --- out


def scores(shown: Any, read: str = "counts", *, output: str | None = None) -> Any:
    """A score for each class; the largest is the answer. ``s_c`` of what class c's element showed, ``y_c[t]``:

        "counts"  s_c = sum_t y_c[t]     spikes: what the loss "rate" reads
        "max"     s_c = max_t y_c[t]     voltages, at their peak: what the loss "membrane" reads
        "mean"    s_c = sum_t y_c[t] / T
        "last"    s_c = y_c[T-1]

    Args:
        shown: a :class:`hasn.Recording`, or the Output's values, (T, batch, classes) or (T, classes): an array, or a
            torch tensor, whose gradients pass.
        read: one of the above.
        output: which Output of a Recording, where there are several.

    Returns:
        (batch, classes) or (classes,), of the same kind; at least float32.

    Raises:
        InputError: no step, no class, or "counts" of what are no spikes.
        OptionError: no such reading, or no such Output.
    """
    if read not in READS:
        raise OptionError("no such reading", parameter="read", got=repr(read), wanted=", ".join(READS))
    values = _floats(_shown(shown, output))
    if values.ndim not in (2, 3) or not all(values.shape):
        wanted = "(T, batch, classes) or (T, classes), T >= 1"
        raise InputError("no time course of classes", parameter="shown", got=tuple(values.shape), wanted=wanted)
    if read == "counts":
        if not bool(((values >= 0) & (values == values.round())).all()):
            wanted, way_out = "spikes: whole numbers >= 0", 'A readout without threshold is read by "max" or "mean".'
            raise InputError("no spikes to count", parameter="shown", wanted=wanted, way_out=way_out)
        return values.sum(0)
    if read == "max":
        return values.amax(0) if hasattr(values, "amax") else values.max(0)
    return values.mean(0) if read == "mean" else values[-1]


def probabilities(shown: Any, read: str = "counts", *, temperature: float = 1.0, output: str | None = None) -> Any:
    """Class probabilities ``p_c = exp(s_c / temperature) / sum_k exp(s_k / temperature)`` of :func:`scores`.

    At temperature 1, ``-log p[label]`` is the loss "rate" for "counts", and "membrane" for "max"
    (:mod:`hasn.backends.snntorch.training.losses`). A higher temperature says less surely what it says (Guo, Pleiss,
    Sun & Weinberger, On calibration of modern neural networks, ICML 2017).

    Args:
        shown, read, output: see :func:`scores`.
        temperature: in spikes or volts, as the scores are.

    Returns:
        (batch, classes) or (classes,), which sums to 1 over the classes.

    Raises:
        InputError, OptionError: see :func:`scores`; a temperature that is not > 0.
    """
    if not isinstance(temperature, int | float) or not 0 < temperature < float("inf"):
        raise OptionError("no such value", parameter="temperature", got=repr(temperature), wanted="a number > 0")
    found = scores(shown, read, output=output) / temperature
    if hasattr(found, "softmax"):
        return found.softmax(-1)
    from scipy.special import softmax

    return softmax(found, axis=-1)


def _shown(shown: Any, output: str | None) -> Any:
    if not isinstance(shown, Recording):
        if output is not None:
            raise OptionError("an array has no Outputs", parameter="output", got=repr(output))
        return shown
    known = ", ".join(sorted(shown.outputs)) or "a graph with an Output"
    if output is None and len(shown.outputs) != 1:
        raise OptionError(f"the recording has {len(shown.outputs)} Outputs", parameter="output", wanted=known)
    if output is not None and output not in shown.outputs:
        raise OptionError("no such Output", parameter="output", got=repr(output), wanted=known)
    return shown.output if output is None else shown.outputs[output]


def _floats(values: Any) -> Any:
    """Numbers in which counts are exact: at least float32."""
    if hasattr(values, "is_floating_point"):  # a torch tensor
        return values if values.is_floating_point() and values.element_size() >= 4 else values.float()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError("not an array of real numbers", parameter="shown", got=str(array.dtype))
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
