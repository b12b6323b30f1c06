"""What a checkpoint must look like for this training to go on from it: looked at before anything of it is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Check = Callable[[Any], bool]


class Malformed(ValueError):
    """The text says which part is not as it should be."""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _of(kind: Any) -> Check:
    return lambda value: isinstance(value, kind)


def _named(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(isinstance(k, str) and check(v) for k, v in value.items())


#: Sums and losses may be NaN where labels are no classes.
_FLOATS = _each(lambda value: isinstance(value, float | int) and not isinstance(value, bool))
_PARTS: dict[str, Check] = {
    "fingerprint": _of(str),
    "settings": _named(_of(str)),
    "hidden": _named(_of(str)),
    "judge": _of(str),
    "origin": _of(dict),
    "moving": _of(dict),
    "gradients": _of(dict),
    "progress": _of(dict),
    "room": _maybe(_whole),
    "random": _of(dict),
    "epoch_start": _of(dict),
    "dropout": _whole,
}
_ORIGIN: dict[str, Check] = {
    "graph": _maybe(lambda value: hasattr(value, "dtype")),
    "learn": _of(dict),
    "lowering": _of(dict),
    "precision": _of(str),
    "keep_best": _of(bool),
    "freeze": _of(list),
    "during": _of(dict),
}
_MOVING: dict[str, Check] = {
    "parameters": _of(dict),
    "optimizer": _of(dict),
    "schedule": _maybe(_of(dict)),
    "scaler": _maybe(_of(dict)),
    "masks": _of(dict),
}
_PROGRESS: dict[str, Check] = {
    "epoch": _whole,
    "position": _whole,
    "step": _whole,
    "losses": _FLOATS,
    "history": _each(_of(dict)),
    "tally": _of(dict),
    "best": _maybe(_of((float, int))),
    "waited": _whole,
    "stopped": _of(str),
    "best_parameters": _of(dict),
}
_TALLY: dict[str, Check] = {
    "samples": _whole,
    "sums": _FLOATS,
    "seconds": _number,
    "batch": _whole,
    "measure": _each(_number),
}
_EPOCH: dict[str, Check] = {
    "epoch": _whole,
    "loss": _of(float),
    "accuracy": _maybe(_of(float)),
    "validation_loss": _maybe(_of(float)),
    "validation_accuracy": _maybe(_of(float)),
    "rates": _named(_of(float)),
    "seconds": _number,
    "batch": _whole,
}
_RANDOM: dict[str, Check] = {
    "torch": lambda value: hasattr(value, "dtype"),
    "cuda": _of(list),
    "numpy": _of(list),
    "python": _of(list),
    "data": _of(list),
}


def check_head(state: Mapping[str, Any]) -> None:
    """The parts that every checkpoint has.

    Raises:
        Malformed: names the part.
    """
    _check(state, {**_PARTS, "format": _of(str)}, "")
    _check(state["origin"], _ORIGIN, "origin")


def check_form(
    state: Mapping[str, Any],
    parameters: Mapping[str, Tensor],
    optimizer: Any | None,
    schedule: Any | None = None,
    scaler: Any | None = None,
    masks: Mapping[str, Tensor] | None = None,
) -> None:
    """All parts, and the tensors against those of the network.

    Args:
        state: of the checkpoint.
        parameters: that are trained.
        optimizer: one of torch's own, whose state is of known shapes; None: nothing is known of it.
        schedule: of its rates, if there is one.
        scaler: of gradients, if there is one.
        masks: of pruned weights.

    Raises:
        Malformed: names the part.
    """
    check_head(state)
    moving, progress = state["moving"], state["progress"]
    _check(moving, _MOVING, "moving")
    check_tensors(moving["parameters"], parameters, "moving.parameters")
    check_tensors(moving["masks"], masks or {}, "moving.masks")
    _check(progress, _PROGRESS, "progress")
    _check(progress["tally"], _TALLY, "progress.tally")
    for epoch in progress["history"]:
        _check(epoch, _EPOCH, "progress.history")
    if len(progress["history"]) != progress["epoch"] or len(progress["losses"]) != progress["step"]:
        raise Malformed("progress has another number of epochs or steps than it tells of")
    if progress["best_parameters"]:
        check_tensors(progress["best_parameters"], parameters, "progress.best_parameters")
    for part in ("random", "epoch_start"):
        if part == "random" or state[part]:
            _check(state[part], _RANDOM, part)
    if "sums" in state["gradients"]:
        kept = state["gradients"]["sums"]
        check_tensors(kept, {name: parameters[name] for name in kept if name in parameters}, "gradients.sums")
    if optimizer is not None:
        _check_optimizer(moving["optimizer"], optimizer)
    if schedule is not None:
        _check_alike(moving["schedule"], schedule.state_dict(), "moving.schedule")
    if scaler is not None:
        _check_alike(moving["scaler"], scaler.state_dict(), "moving.scaler")


def _check(part: Any, wanted: Mapping[str, Check], name: str) -> None:
    """Exactly these entries, each as it should be."""
    dot = f"{name}." if name else ""
    for key in sorted(set(wanted) ^ set(part), key=str):
        raise Malformed(f"{dot}{key} is {'missing' if key in wanted else 'unknown'}")
    for key, check in wanted.items():
        if not check(part[key]):
            raise Malformed(f"{dot}{key} is {_brief(part[key])}")


def check_tensors(found: Any, wanted: Mapping[str, Tensor], name: str) -> None:
    """A finite tensor of the right shape and type for every parameter."""
    for key in sorted(set(wanted) ^ set(found), key=str):
        raise Malformed(f"{name} {'lacks' if key in wanted else 'has an unknown'} {key}")
    for key, tensor in wanted.items():
        kept = found[key]
        if getattr(kept, "shape", None) != tensor.shape or kept.dtype != tensor.dtype:
            raise Malformed(f"{name} {key} is {_brief(kept)}, wanted {tensor.dtype} {tuple(tensor.shape)}")
        if not bool(kept.isfinite().all()):
            raise Malformed(f"{name} {key} has a value that is not finite")


def _check_optimizer(state: Mapping[str, Any], optimizer: Any) -> None:
    """Its groups are this optimizer's, and what it keeps of a parameter is of that parameter's shape, or one number."""
    own = optimizer.state_dict()
    if set(state) != set(own) or not isinstance(state["state"], dict) or not isinstance(state["param_groups"], list):
        raise Malformed("moving.optimizer has other parts than its own")
    groups = [group["params"] for group in own["param_groups"]]
    kept = [group.get("params") if isinstance(group, dict) else None for group in state["param_groups"]]
    if groups != kept:
        raise Malformed("moving.optimizer has other groups of parameters")
    for one, other in zip(own["param_groups"], state["param_groups"], strict=True):
        _check_alike(other, one, "moving.optimizer.param_groups", fixed=True)
    tensors = [tensor for group in optimizer.param_groups for tensor in group["params"]]
    for index, values in state["state"].items():
        if not _whole(index) or index >= len(tensors) or not isinstance(values, dict):
            raise Malformed(f"moving.optimizer knows of a parameter {index!r}")
        (group,) = (group for group in state["param_groups"] if index in group["params"])
        for key in sorted(_kept_by(optimizer, group) ^ set(values), key=str):
            raise Malformed(
                f"moving.optimizer {key} of parameter {index} is {'unknown' if key in values else 'missing'}"
            )
        for name, value in values.items():
            if getattr(value, "shape", None) not in (tensors[index].shape, ()) or not value.is_floating_point():
                raise Malformed(f"moving.optimizer {name} of parameter {index} is {_brief(value)}")


def _kept_by(optimizer: Any, group: Mapping[str, Any]) -> set[str]:
    """What an optimizer with a group's options keeps of a parameter, seen by a step of another one."""
    import torch

    tried = torch.zeros(1, requires_grad=True)
    tried.grad = torch.zeros(1)
    made = type(optimizer)([{**group, "params": [tried]}])
    made.step()
    return set(made.state_dict()["state"].get(0, {}))


def _check_alike(found: Any, own: Any, name: str, *, fixed: bool = False) -> None:
    """Numbers where this training's own state has numbers, and so on.

    Args:
        found: of the checkpoint.
        own: of this training.
        name: of the part, for messages.
        fixed: switches, texts and None are those of ``own``, and numbers finite.
    """
    if isinstance(own, Mapping):
        if not isinstance(found, Mapping):
            raise Malformed(f"{name} is {_brief(found)}")
        for key, value in own.items():
            if key not in found:
                raise Malformed(f"{name}.{key} is missing")
            _check_alike(found[key], value, f"{name}.{key}", fixed=fixed)
    elif isinstance(own, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(own):
            raise Malformed(f"{name} is {_brief(found)}")
        for one, other in zip(found, own, strict=True):
            _check_alike(one, other, name, fixed=fixed)
    elif isinstance(own, float | int) and not isinstance(own, bool):
        if not isinstance(found, float | int) or isinstance(found, bool) or (fixed and not _number(found)):
            raise Malformed(f"{name} is {_brief(found)}, which is no number")
    elif (fixed and found is not own and found != own) or not isinstance(found, object if own is None else type(own)):
        raise Malformed(f"{name} is {_brief(found)}, wanted {own}")


def _brief(value: Any) -> str:
    """A value in a few words."""
    if hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
