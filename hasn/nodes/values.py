"""What users and NIR hold numbers in (tensors, arrays of any kind, an array of one, a pair, bytes), as plain values.

The one way in for numbers: parameters of nodes, metadata, inputs and labels go through :func:`array_of`.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import ParameterError


def array_of(value: Any) -> NDArray[Any] | None:
    """``value`` as an array; None where numpy makes none of it.

    torch tensors are known by their methods: gradients are left behind, what numpy has no type for (bf16, float8)
    becomes float32, and what is sparse or quantised is written out. A masked value is no number.
    """
    try:
        if isinstance(value, list | tuple) and any(map(_is_foreign, value)):
            value = [array_of(part) for part in value]
        array = np.asarray(_in_numpy(value) if _is_foreign(value) else value)
    except Exception:  # whatever the value's own conversion raises
        return None
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return None
    return array


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The same in the machine's byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def is_tensor(value: Any) -> bool:
    """Whether it is torch's, known by its methods: nothing of hasn imports torch for it."""
    return all(hasattr(value, name) for name in ("detach", "cpu", "numpy"))


def _is_foreign(value: Any) -> bool:
    return is_tensor(value) or (hasattr(value, "toarray") and hasattr(value, "nnz"))


def _in_numpy(value: Any) -> Any:
    """A tensor, or one of scipy's sparse matrices."""
    if not is_tensor(value):
        return value.toarray()
    value = value.detach()
    if getattr(value, "is_quantized", False):
        value = value.dequantize()
    if str(getattr(value, "layout", "torch.strided")) != "torch.strided":
        value = value.to_dense()
    value = value.cpu()
    for lazy in ("resolve_conj", "resolve_neg"):
        value = getattr(value, lazy)() if hasattr(value, lazy) else value
    try:
        return value.numpy()
    except TypeError:  # numpy has no such type
        return value.float().numpy()


def in_numpy(value: Any, *, fresh: bool = False) -> Any:
    """What a node or its metadata holds, with tensors (also in lists and dicts) as arrays in the machine's byte order.

    Args:
        value: anything.
        fresh: whether nothing that can be written to may be shared with ``value``; else what needs no change is
            ``value`` itself.
    """
    if isinstance(value, dict):
        made = {key: in_numpy(inner, fresh=fresh) for key, inner in value.items()}
        return made if fresh or any(made[key] is not inner for key, inner in value.items()) else value
    if _is_foreign(value) or (isinstance(value, list | tuple) and any(map(_is_foreign, value))):
        array = array_of(value)
        return value if array is None else native(array).copy() if fresh else native(array)
    if isinstance(value, np.ndarray):
        if not value.dtype.isnative:
            return native(value)
        # A pattern of synapses is read-only and its own: it may take gigabytes, and nobody can write to it.
        return value.copy() if fresh and (value.flags.writeable or value.base is not None) else value
    if type(value) in (list, tuple):
        parts = [in_numpy(inner, fresh=fresh) for inner in value]
        same = all(a is b for a, b in zip(parts, value, strict=True))
        return value if same and not (fresh and isinstance(value, list)) else type(value)(parts)
    return _copied(value) if fresh else value


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # a thing that cannot be copied cannot be saved either: it is not for us to judge here
        return value


def numbers(value: Any) -> NDArray[Any] | None:
    """``value`` as an array of real numbers; None where it is none."""
    array = array_of(value)
    return array if array is not None and array.dtype.kind in "biuf" else None


def unusable(value: Any) -> str:
    """What a value is that is no array of numbers, in words."""
    array = array_of(value)
    return f"a {type(value).__name__}" if array is None else f"dtype {array.dtype}"


def text(value: Any) -> str | None:
    """A string that HDF5 may have turned into bytes or an array of one; None where it is no string."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf8", errors="replace")
    return str(value) if isinstance(value, str) else None


def single(value: Any) -> int:
    """An integer that may come as an array of one.

    Raises:
        ParameterError: it is not one whole number.
    """
    array = array_of(value)
    if array is None or array.size != 1 or array.dtype.kind not in "iuf" or float(array.item()) % 1 != 0:
        raise ParameterError("is not one whole number", got=repr(value), wanted="an integer")
    return int(array.item())


def pair(value: Any, dims: int) -> tuple[int, ...]:
    """One integer for every spatial dimension.

    Raises:
        ParameterError: neither one integer nor one for each dimension.
    """
    array = array_of(value)
    if array is None or array.dtype.kind not in "iuf" or array.size not in (1, dims) or np.any(array % 1 != 0):
        raise ParameterError(
            "is neither one integer nor one for each dimension", got=repr(value), wanted=f"1 or {dims} integers"
        )
    flat = [int(n) for n in array.reshape(-1)]
    return tuple(flat * dims) if len(flat) == 1 else tuple(flat)


def pads(value: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Zeros (before, after) each spatial dimension; 'same' puts the odd one behind, as torch does.

    Raises:
        ParameterError: a word that is neither 'same' nor 'valid'.
    """
    word = text(value)
    if word is None:
        return tuple((n, n) for n in pair(value, len(kernel)))
    if word == "valid":
        return tuple((0, 0) for _ in kernel)
    if word != "same":
        raise ParameterError(
            "unknown padding", parameter="padding", got=repr(word), wanted="'same', 'valid' or integers"
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)
