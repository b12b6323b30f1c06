"""What stands around a module's forward and is no layer: hooks, wrappers, and a forward that one instance has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules import module as every

from hasn.backends.snntorch.copies import recomputes
from hasn.conversions.refuse import refusal

#: Where torch keeps hooks that may change what a call takes or gives, and their name in a message.
_KEPT = {"_forward_pre_hooks": "a forward pre-hook", "_forward_hooks": "a forward hook"}


#: The same for hooks on all modules there are.
_ON_ALL = {
    "_global_forward_pre_hooks": "a forward pre-hook on all modules",
    "_global_forward_hooks": "a forward hook on all modules",
}


def around(module: nn.Module) -> dict[str, str]:
    """Path -> what is there, for every part that has something."""
    found = {path: what for path, part in module.named_modules() if (what := _around(part))}
    on_all = [f"{name} ({_called(hook)})" for key, name in _ON_ALL.items() for hook in getattr(every, key).values()]
    return {"": " and ".join([*filter(None, [found.pop("", "")]), *on_all]), **found} if on_all else found


@contextmanager
def plain() -> Iterator[None]:
    """torch without the hooks on all modules, which would change what hasn computes with modules of its own."""
    kept = {key: dict(getattr(every, key)) for key in _ON_ALL}
    try:
        for key in kept:
            getattr(every, key).clear()
        yield
    finally:
        for key, hooks in kept.items():
            getattr(every, key).update(hooks)


def _around(part: nn.Module) -> str:
    kept = [(hook, name) for key, name in _KEPT.items() for hook in getattr(part, key, {}).values()]
    return " and ".join(f"{name} ({_called(hook)})" for hook, name in kept if not recomputes(hook))


def recomputing(module: nn.Module) -> dict[str, str]:
    """Path -> what computes a weight anew before every call: torch's pruning, norms and parametrizations."""
    found: dict[str, str] = {}
    for path, part in module.named_modules():
        hooks = [type(hook).__name__ for hook in getattr(part, "_forward_pre_hooks", {}).values() if recomputes(hook)]
        if hasattr(part, "parametrizations"):
            hooks += [f"a parametrization of {name}" for name in part.parametrizations]
        if hooks:
            found[path] = " and ".join(hooks)
    return found


def _called(hook: object) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__name__))


def require_plain(module: nn.Module, verify: bool) -> None:
    """Refuse wrappers and forwards of an instance's own; hooks too, where nothing will run that tells what they do.

    Raises:
        UnsupportedError: what stands in the way, by its path.
    """
    _refuse_wrapped(module)
    _refuse_own_forwards(module)
    if not verify:
        _refuse_hooks(module)


def _refuse_own_forwards(module: nn.Module) -> None:
    for path, part in module.named_modules():
        if "forward" in vars(part):
            raise refusal(
                path,
                "forward",
                f"this {type(part).__name__} has a forward of its own, which may compute anything",
                got=_called(vars(part)["forward"]),
                wanted=f"the forward of {type(part).__name__}",
                way_out="Write it as a class with layers in it, or take it away: del module.forward.",
            )


def _refuse_hooks(module: nn.Module) -> None:
    """Refuse hooks and the like where no run tells whether they only look.

    Raises:
        UnsupportedError: there are some, by the first one's path.
    """
    for path, what in around(module).items():
        raise refusal(
            path,
            "verify",
            "only a run tells whether what stands around forward changes anything",
            got=f"verify=False and {what}",
            wanted="verify=True, or a module without",
            way_out="Leave verify at True, or remove it.",
        )


#: Wrappers that are no network of their own, by their type's name, and how to get at what they wrap.
_WRAPPERS = {
    "DataParallel": "Hand over its .module.",
    "DistributedDataParallel": "Hand over its .module.",
    "OptimizedModule": "It is what torch.compile gives: hand over the module that was compiled, or its ._orig_mod.",
    "FullyShardedDataParallel": "It holds a part of the weights: gather a full state dict into the plain module.",
    "FSDPModule": "It holds a part of the weights: gather a full state dict into the plain module.",
    "ScriptModule": "TorchScript keeps no Python forward: hand over the module that was scripted or traced.",
}


def _refuse_wrapped(module: nn.Module) -> None:
    """Refuse what wraps a module for running it elsewhere or faster.

    Raises:
        UnsupportedError: the wrapper's path and how to get at the module.
    """
    for path, part in module.named_modules():
        names = {kind.__name__ for kind in type(part).__mro__}
        found = next((name for name in _WRAPPERS if name in names), None)
        if found is not None:
            raise refusal(
                path,
                None,
                f"{found} wraps a module and is no part of the network",
                got=type(part).__name__,
                wanted="the module in it",
                way_out=_WRAPPERS[found],
            )
