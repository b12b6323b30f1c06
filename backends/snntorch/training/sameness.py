"""Whether two trainings were called with the same things: functions, objects and arrays as texts to compare.

A function is its name, the code in it, its defaults, what its closure holds and the module's own values that it reads;
an object is its class and what its attributes hold; an array its bytes. A function or class of an installed package is
known by its name alone, beside what its closure and attributes hold. What shows nothing of itself (an object of C, a
file, a lock) is named, so that whoever compares can say that it was not compared.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import re
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

#: How deep values are followed, and how many.
_DEPTH, _MOST = 12, 20_000
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis), PurePath, range, slice)
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
#: What CPython sets for a class that was made while running (Py_TPFLAGS_HEAPTYPE).
_FROM_PYTHON = 1 << 9
#: Code of one version of Python, as it stands in a text.
_CODE = re.compile(r"code (\d+\.\d+):[0-9a-f]+")


def described(value: Any, *, inside: bool = True) -> tuple[str, tuple[str, ...]]:
    """A text that is the same for the same value in another process, and what of the value it cannot show.

    Args:
        value: anything.
        inside: look into functions; else they are known by their names.
    """
    look = _Look(inside)
    return look.text(value, "", 0), tuple(dict.fromkeys(look.hidden))


def differs(one: str, other: str) -> bool | None:
    """Whether two texts are of different values; None: they have the code of two Pythons, and agree in the rest."""
    if one == other:
        return False
    versions = {*_CODE.findall(one), *_CODE.findall(other)}
    if len(versions) < 2 or _CODE.sub("code", one) != _CODE.sub("code", other):
        return True
    return None


def difference(one: str, other: str) -> tuple[str, str]:
    """Both texts from shortly before the place where they part, short enough for a message."""
    if max(len(one), len(other)) <= 60:
        return one, other
    place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, place - 24)
    return _cut(one, start), _cut(other, start)


def _cut(text: str, start: int) -> str:
    return ("..." if start else "") + text[start : start + 60] + ("..." if len(text) > start + 60 else "")


class _Look:
    """One look at a value: what was met on the way is not followed twice."""

    def __init__(self, inside: bool) -> None:
        self.inside = inside
        self.hidden: list[str] = []
        self._met: dict[int, tuple[int, Any]] = {}  # keeps what it has met alive, so that no address comes twice

    def text(self, value: Any, where: str, depth: int) -> str:
        if isinstance(value, float | int | str | bytes) and type(value) in (float, int, str, bytes, bool):
            return repr(value)
        if isinstance(value, _PLAIN):
            return str(value) if isinstance(value, PurePath) else repr(value)
        if isinstance(value, np.generic | np.ndarray) or _is_tensor(value):
            return self._array(value, where)
        if isinstance(value, types.ModuleType):
            return value.__name__
        if id(value) in self._met:
            return f"<{type(value).__name__} {self._met[id(value)][0]}>"
        if depth > _DEPTH or len(self._met) > _MOST:
            self._hide(value, where)
            return type(value).__qualname__
        self._met[id(value)] = (len(self._met), value)
        return self._inside(value, where, depth + 1)

    def _inside(self, value: Any, where: str, depth: int) -> str:
        if isinstance(value, Mapping) and not hasattr(value, "__dict__"):
            return self._mapping(value, where, depth)
        if isinstance(value, list | tuple):
            return f"[{', '.join(self.text(item, where, depth) for item in value)}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(self.text(item, where, depth) for item in value))}}}"
        if isinstance(value, functools.partial):
            return self._called(value, where, depth)
        if isinstance(value, types.MethodType):
            return f"{self.text(value.__self__, where, depth)}.{self.text(value.__func__, where, depth)}"
        if isinstance(value, types.FunctionType):
            return self._function(value, where, depth)
        if isinstance(value, types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType):
            own = getattr(value, "__self__", None)
            of = "" if own is None or isinstance(own, types.ModuleType) else f"{self.text(own, where, depth)}."
            return f"{of}{value.__qualname__}"
        if isinstance(value, type):
            return self._class(value, where, depth)
        return self._object(value, where, depth)

    def _mapping(self, value: Mapping[Any, Any], where: str, depth: int) -> str:
        items = sorted((self.text(key, where, depth), key) for key in value)  # texts alone decide
        return f"{{{', '.join(f'{text}: {self.text(value[key], _at(where, key), depth)}' for text, key in items)}}}"

    def _array(self, value: Any, where: str) -> str:
        if not isinstance(value, np.generic | np.ndarray):
            try:
                value = value.detach().cpu().contiguous()
                value = (value if value.element_size() != 2 or not value.is_floating_point() else value.float()).numpy()
            except (RuntimeError, TypeError, NotImplementedError):
                self._hide(value, where)
                return type(value).__qualname__
        if value.dtype.hasobject:
            return f"array {value.shape} {self.text(value.tolist(), where, 1)}"
        if not value.ndim:
            return f"{value.dtype} {value.item()!r}"
        return f"{value.dtype} {value.shape} {_digest(np.ascontiguousarray(value).tobytes())}"

    def _called(self, value: Any, where: str, depth: int) -> str:
        given = f"{self.text(value.args, where, depth)}, {self.text(value.keywords, where, depth)}"
        return f"partial({self.text(value.func, where, depth)}, {given})"

    def _function(self, value: types.FunctionType, where: str, depth: int) -> str:
        if not self.inside:
            return value.__qualname__
        code = value.__code__
        held = {
            "": zip(code.co_freevars, (_content(cell) for cell in value.__closure__ or ()), strict=True),
            "default ": zip(code.co_varnames[: code.co_argcount][::-1], (value.__defaults__ or ())[::-1], strict=False),
            "keyword ": (value.__kwdefaults__ or {}).items(),
            "attribute ": ((key, x) for key, x in vars(value).items() if key != "__wrapped__"),
        }  # fmt: skip
        parts = [
            f"{kind}{name} = {self.text(content, _at(where, name), depth)}"
            for kind, some in held.items()
            for name, content in some
        ]
        if not _installed(value):
            parts.append(f"code {_PYTHON}:{_digest(_bytes_of(code))}")
            parts += self._read(value, code, where, depth)
        return f"{value.__qualname__}({', '.join(parts)})"

    def _read(self, value: types.FunctionType, code: types.CodeType, where: str, depth: int) -> list[str]:
        """The module's values that a function reads by name."""
        steps = [step for part in _codes(code) for step in dis.get_instructions(part)]
        names = sorted({str(step.argval) for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")})
        found = [(name, value.__globals__[name]) for name in names if name in value.__globals__]
        told = [(name, x) for name, x in found if not isinstance(x, types.ModuleType)]
        return [f"{name} = {self.text(x, _at(where, name), depth)}" for name, x in told]

    def _class(self, value: type, where: str, depth: int) -> str:
        if _installed(value):
            return f"{value.__module__}.{value.__qualname__}"
        bases = [self.text(base, where, depth) for base in value.__bases__ if base is not object]
        left_out = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}
        own = {key: _bare(x) for key, x in vars(value).items() if key not in left_out and not key.startswith("_abc_")}
        own = {
            key: x
            for key, x in own.items()
            if not isinstance(x, types.GetSetDescriptorType | types.MemberDescriptorType)
        }
        return f"{value.__qualname__}({', '.join([*bases, self._mapping(own, where, depth)])})"

    def _object(self, value: Any, where: str, depth: int) -> str:
        kind = self.text(type(value), where, depth)
        held = {**_slots(value), **(vars(value) if hasattr(value, "__dict__") else {})}
        if isinstance(value, Mapping):
            held = {**held, **{str(key): item for key, item in value.items()}}
        elif _opaque(value, held):
            self._hide(value, where)
        return f"{kind} {self._mapping(held, where, depth)}"

    def _hide(self, value: Any, where: str) -> None:
        self.hidden.append(where or type(value).__qualname__)


def _opaque(value: Any, held: Mapping[str, Any]) -> bool:
    """Whether an object may hold more than its attributes: of a class of C, or of one that shows none."""
    foreign = any(kind is not object and not kind.__flags__ & _FROM_PYTHON for kind in type(value).__mro__)
    return (
        foreign or (not held and getattr(type(value), "__new__", None) is not object.__new__) or type(value) is object
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None


def _slots(value: Any) -> dict[str, Any]:
    names = [name for kind in type(value).__mro__ for name in _listed(kind.__dict__.get("__slots__", ()))]
    return {
        name: getattr(value, name) for name in names if hasattr(value, name) and name not in ("__dict__", "__weakref__")
    }


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _bare(value: Any) -> Any:
    """What a class holds, without the wrapping that makes it a method or property."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return [value.fget, value.fset] if isinstance(value, property) else value


def _at(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _bytes_of(code: types.CodeType) -> bytes:
    """What a function does: its instructions, constants and names, and not where it stands."""
    parts: list[Any] = []
    for part in _codes(code):
        constants = [_settled(x) for x in part.co_consts if not isinstance(x, types.CodeType)]
        parts.append((part.co_code.hex(), constants, part.co_names, part.co_varnames, part.co_freevars))
    return repr(parts).encode()


def _settled(constant: Any) -> str:
    """A constant as text; sets in one order."""
    return str(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _is_tensor(value: Any) -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


@functools.cache
def _homes() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _installed(value: Any) -> bool:
    """Whether a function or class is of Python, hasn or another installed package."""
    name = str(getattr(value, "__module__", "") or "")
    if name.partition(".")[0] in ("hasn", "builtins"):
        return True
    if isinstance(value, types.FunctionType):
        file = value.__code__.co_filename
    else:
        file = str(getattr(sys.modules.get(name), "__file__", "") or "")
        if not file:  # of C, or typed in by hand
            return name not in ("__main__", "") and name in sys.builtin_module_names
    return file.startswith(_homes()) and not file.startswith("<")
