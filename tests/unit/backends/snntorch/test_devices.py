"""Devices that torch cannot use, and where it may round a float32 product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hasn.errors import OptionError

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import devices  # noqa: E402


@pytest.fixture
def _restored() -> Iterator[None]:
    places = (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [place.fp32_precision for place in places]
    yield
    for place, value in zip(places, before, strict=True):
        place.fp32_precision = value


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize(("place", "value"), [("", "tf32"), ("cuda", "tf32"), ("mkldnn", "bf16"), ("mkldnn", "tf32")])
def test_any_leave_to_round_is_seen(place: str, value: str) -> None:
    assert devices.float32_is_exact()
    where: Any = getattr(torch.backends, place).matmul if place else torch.backends
    where.fp32_precision = "ieee"
    assert devices.float32_is_exact()
    where.fp32_precision = value
    assert not devices.float32_is_exact()


def test_an_older_torch_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "getattr", lambda place, name, default=None: None, raising=False)
    for precision, exact in (("highest", True), ("high", False), ("medium", False)):
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda precision=precision: precision)
        assert devices.float32_is_exact() is exact


def test_a_device_is_tried_before_it_is_taken() -> None:
    assert devices.usable_device("cpu") == torch.device("cpu")
    for device, said in (("quantum", "quantum"), ("meta", "meta"), (object(), "device")):
        with pytest.raises(OptionError, match=r"device: torch cannot use this device: .*wanted cpu") as caught:
            devices.usable_device(device)
        assert caught.value.got == repr(device)
        assert said in str(caught.value)


@pytest.mark.parametrize(("there", "wanted"), [(True, "cpu, cuda"), (False, "cpu")])
def test_a_gpu_is_offered_where_there_is_one(there: bool, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    with pytest.raises(OptionError) as caught:
        devices.usable_device("quantum")
    assert (caught.value.parameter, caught.value.wanted) == ("device", wanted)
