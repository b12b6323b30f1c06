"""The integer reference against a published trace, Lava's own bit-accurate models, and sums done by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.conversions.loihi import integer_population
from hasn.errors import InputError, ParameterError
from tests.edges import EDGES

FOLDER = Path(os.environ.get("HASN_FIXTURES", Path(__file__).parents[5] / "shared" / "fixtures"))
TRACE = FOLDER / "lif_lava_cpu_fixed.csv"


@pytest.mark.skipif(not TRACE.is_file(), reason=f"no published trace at {TRACE}: set HASN_FIXTURES")
def test_the_published_integer_trace() -> None:
    """tau 25 steps: dv = 4096 / 25 = 163, and weight and threshold as NIR's importer scaled them (10 and 25)."""
    table = np.loadtxt(TRACE, delimiter=",").astype(int)
    _, v, spikes = integer_population(table[:, :1], [[10]], du=4095, dv=163, vth=25)
    np.testing.assert_array_equal(v[:, 0], table[:, 1])
    np.testing.assert_array_equal(spikes[:, 0], table[:, 2].astype(bool))


def test_one_neuron_by_hand() -> None:
    u, v, spikes = integer_population([[1], [0], [0], [0]], [[-3]], du=2047, dv=1024, vth=0, weight_exp=1, bias_mant=5)
    # -3 << 1 << 6 = -384, one step late; du + 1 = 2048 halves u; dv = 1024 keeps 3/4 of |v|, rounded towards 0.
    assert u[:, 0].tolist() == [0, -384, -192, -96]
    # v: 5 > 0 spikes and goes to 0; -384 + 5 = -379; -(379*3 >> 2) - 192 + 5 = -471; -(471*3 >> 2) - 96 + 5 = -444.
    assert v[:, 0].tolist() == [0, -379, -471, -444]
    assert spikes[:, 0].tolist() == [True, False, False, False]


def test_currents_wrap_and_voltages_clip() -> None:
    x = np.ones((4, 40), dtype=int)
    u, v, _ = integer_population(x, np.full((1, 40), 255), du=0, dv=0, vth=131071, weight_exp=4)
    a = 40 * 255 << 4 << 6  # 10,444,800, above 2**23 = 8,388,608
    assert u[1, 0] == a - 2**24
    kept = -(abs(a - 2**24) * 4095 >> 12)  # du = 0 still takes 1 of 4096
    assert u[2, 0] == kept + a > 0
    u, v, _ = integer_population(x, np.full((1, 40), -200), du=4095, dv=0, vth=131071, weight_exp=3)
    assert u[1, 0] == -(40 * 200 << 3 << 6)
    assert v[1:, 0].tolist() == [-4_096_000, -8_192_000, 1 - 2**23]


@pytest.mark.parametrize("name", [n for n, edge in EDGES.items() if not {"bias", "v_init"} & set(edge.registers)])
def test_the_ends_of_the_registers(name: str) -> None:
    """Behind one synapse of weight 1, which takes a step."""
    edge = EDGES[name]
    found = integer_population(np.vstack([edge.inputs.astype(int), [[0]]]), [[1]], **edge.registers)
    for values, wanted in zip(found, edge.wanted, strict=True):
        assert values[:, 0].astype(int).tolist() == [0, *wanted]


LAVA = """
import json, sys
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
case = json.load(sys.stdin)
x, w, T = np.array(case["x"]), np.array(case["w"]), len(case["x"])
source, dense = Source(data=x.T), Dense(weights=w, weight_exp=case["weight_exp"])
lif = LIF(shape=(len(w),), **{k: case[k] for k in ("du", "dv", "vth", "bias_mant", "bias_exp")})
sink, mu, mv = Sink(shape=(len(w),), buffer=T), Monitor(), Monitor()
source.s_out.connect(dense.s_in); dense.a_out.connect(lif.a_in); lif.s_out.connect(sink.a_in)
mu.probe(lif.u, T); mv.probe(lif.v, T)
lif.run(condition=RunSteps(T), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
u, v = (next(iter(m.get_data()[lif.name].values())) for m in (mu, mv))
s = sink.data.get().T
lif.stop()
print("RESULT" + json.dumps({"u": u.astype(int).tolist(), "v": v.astype(int).tolist(), "s": s.astype(int).tolist()}))
"""


def _lava(case: dict[str, Any]) -> dict[str, Any]:
    from hasn.backends.lava.environment import lava_python

    python = lava_python()
    done = subprocess.run(
        [str(python), "-c", LAVA], input=json.dumps(case), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.split("RESULT")[1])
    return found


@pytest.mark.lava
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bit_for_bit_as_lavas_fixed_point_models(seed: int) -> None:
    """Random populations; seed 2 has weights of both signs so large that u wraps and v clips."""
    if why_not := hasn.list_backends()["lava"].why_not:
        pytest.skip(why_not)
    rng = np.random.default_rng(seed)
    n, n_in, steps = 6, 30, 60
    w = rng.integers(-128, 128, (n, n_in)) * 2 if seed else rng.integers(0, 256, (n, n_in))
    case = {
        "x": (rng.random((steps, n_in)) < 0.3).astype(int).tolist(),
        "w": w.tolist(),
        "weight_exp": [0, -2, 6][seed],
        "du": int(rng.integers(100, 3000)),
        "dv": int(rng.integers(100, 3000)),
        "vth": [9000, 40, 131071][seed],
        "bias_mant": rng.integers(-500, 500, n).tolist(),
        "bias_exp": rng.integers(0, 7, n).tolist(),
    }
    options = {key: case[key] for key in ("du", "dv", "vth", "weight_exp", "bias_mant", "bias_exp")}
    u, v, spikes = integer_population(case["x"], case["w"], **options)
    theirs = _lava(case)
    np.testing.assert_array_equal(u, theirs["u"])
    np.testing.assert_array_equal(v, theirs["v"])
    np.testing.assert_array_equal(spikes, np.array(theirs["s"], dtype=bool))
    if seed < 2:
        assert 0.01 < spikes.mean() < 0.95
    else:
        assert np.abs(np.diff(u, axis=0)).max() > 2**23  # no input is so large: the current has wrapped
        assert np.abs(v).max() == 2**23 - 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dv": 4096}, "dv: does not fit the chip's register; got 4096; wanted integers 0..4095"),
        ({"vth": -1}, "vth: does not fit"),
        ({"du": 1.5}, "du: does not fit"),
        ({"bias_mant": [5000]}, "bias_mant: does not fit"),
        ({"weights": [[300, 0]]}, "weights: does not fit"),
        ({"weights": [[3, -2]]}, "so they are even; got 3"),
        ({"weights": [3, 2]}, "is not a matrix"),
    ],
)
def test_what_no_register_holds(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"weights": [[4, -2]], "du": 0, "dv": 0, "vth": 10}
    call = {**good, **change}
    with pytest.raises(ParameterError, match=words.replace("[", r"\[")):
        integer_population([[1, 0]], call.pop("weights"), **call)


@pytest.mark.parametrize(
    ("register", "lowest", "highest"),
    [("du", 0, 4095), ("dv", 0, 4095), ("vth", 0, 131071), ("weight_exp", -8, 7), ("bias_mant", -4096, 4095),
     ("bias_exp", 0, 7)],
)  # fmt: skip
def test_registers_hold_their_ends_and_nothing_beyond(register: str, lowest: int, highest: int) -> None:
    good: dict[str, Any] = {"du": 0, "dv": 0, "vth": 10}
    for value in (lowest, highest):
        assert len(integer_population([[1]], [[4]], **{**good, register: value})[0]) == 1
    for value in (lowest - 1, highest + 1):
        with pytest.raises(ParameterError, match=f"{register}: .*got {value}; wanted integers {lowest}..{highest}"):
            integer_population([[1]], [[4]], **{**good, register: value})


@pytest.mark.parametrize(("weights", "wrong"), [
    ([0, 255], [0, 256]), ([-255, 0], [-256, 0]), ([-256, 254], [-258, 254]), ([-256, 254], [-256, 256]),
    ([-2, 4], [-2, 3]), ([-2, 4], [-1, 4]),
])  # fmt: skip
def test_weights_of_one_sign_and_of_both(weights: list[int], wrong: list[int]) -> None:
    u, _, _ = integer_population([[1, 0], [0, 1], [0, 0]], [weights], du=4095, dv=0, vth=131071)
    assert u[:, 0].tolist() == [0, 64 * weights[0], 64 * weights[1]]
    with pytest.raises(ParameterError, match="weights"):
        integer_population([[1, 0]], [wrong], du=4095, dv=0, vth=131071)


def test_exponents_shift_sums_to_either_side() -> None:
    """A right shift rounds the sum of the connection down: -5 >> 1 = -3."""
    for exponent, shifted in ((0, -5), (1, -10), (7, -640), (-1, -3), (-2, -2), (-8, -1)):
        u, _, _ = integer_population([[1, 1], [0, 0]], [[-2, -3]], du=4095, dv=0, vth=9, weight_exp=exponent)
        assert u[1, 0] == 64 * shifted


def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="do not fit the weights"):
        integer_population([[1, 0, 1]], [[4, 2]], du=0, dv=0, vth=10)
    with pytest.raises(InputError, match="takes integers"):
        integer_population([[0.5, 0]], [[4, 2]], du=0, dv=0, vth=10)
