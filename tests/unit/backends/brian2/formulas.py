"""SEMANTICS as formulas over continuous-time parameters; shares nothing with hasn.program."""

import nir
import numpy as np
from scipy.linalg import expm

DT = 1e-3


def affine_step(matrix, drive, state, dt):
    """Exact step of d(state)/dt = matrix @ state + drive, one neuron, by the exponential of the augmented matrix."""
    n = len(state)
    whole = np.zeros((n + 1, n + 1))
    whole[:n, :n], whole[:n, n] = matrix, drive
    return (expm(whole * dt) @ np.append(state, 1.0))[:n]


class Cell:
    """One NIR population: ``step(current) -> (output, recorded voltage)``."""

    def __init__(self, node, dt=DT, method="euler", reset="zero", v_init=0.0):
        self.node, self.dt, self.method, self.reset = node, dt, method, reset
        self.v = np.zeros(np.shape(node.r)) + v_init
        self.c = np.zeros(np.shape(node.r))

    def step(self, current):
        self._move(np.broadcast_to(current, self.v.shape))
        if not hasattr(self.node, "v_threshold"):
            return self.v.copy(), self.v.copy()
        z = self.v > self.node.v_threshold
        jumped = self.node.v_reset if self.reset == "zero" else self.v - (self.node.v_threshold - self.node.v_reset)
        self.v = np.where(z, jumped, self.v)
        return z * 1.0, self.v.copy()

    def _move(self, current):
        n, dt = self.node, self.dt
        cuba, leaky = hasattr(n, "tau_syn"), hasattr(n, "tau")
        if self.method == "exact":
            for k in range(self.v.size):
                if cuba:
                    matrix = [[-1 / n.tau_syn[k], 0], [n.r[k] / n.tau_mem[k], -1 / n.tau_mem[k]]]
                    drive = [n.w_in[k] * current[k] / n.tau_syn[k], n.v_leak[k] / n.tau_mem[k]]
                    self.c[k], self.v[k] = affine_step(matrix, drive, [self.c[k], self.v[k]], dt)
                elif leaky:
                    drive = (n.v_leak[k] + n.r[k] * current[k]) / n.tau[k]
                    (self.v[k],) = affine_step([[-1 / n.tau[k]]], [drive], [self.v[k]], dt)
                else:
                    (self.v[k],) = affine_step([[0.0]], [n.r[k] * current[k]], [self.v[k]], dt)
        elif cuba:
            self.c = self.c + dt / n.tau_syn * (-self.c + n.w_in * current)
            self.v = self.v + dt / n.tau_mem * (n.v_leak - self.v + n.r * self.c)
        elif leaky:
            self.v = self.v + dt / n.tau * (n.v_leak - self.v + n.r * current)
        else:
            self.v = self.v + dt * n.r * current


def node(kind, n, rng, **metadata):
    """A population whose every parameter differs from neuron to neuron."""

    def draw(low, high):
        return rng.uniform(low, high, n)

    values = {"r": draw(0.5, 1.5)}
    if kind in ("LI", "LIF"):
        values |= {"tau": draw(5e-3, 2e-2), "v_leak": draw(-0.1, 0.1)}
    if kind in ("CubaLI", "CubaLIF"):
        values |= {
            "tau_syn": draw(3e-3, 8e-3),
            "tau_mem": draw(5e-3, 2e-2),
            "v_leak": draw(-0.1, 0.1),
            "w_in": draw(0.5, 2),
        }
    if kind in ("I", "IF"):
        values["r"] = values["r"] / (10 * DT)
    if kind.endswith("F"):
        values |= {"v_threshold": draw(0.2, 0.5), "v_reset": draw(-0.2, 0.1)}
    return getattr(nir, kind)(**values, metadata=metadata)


def lif(n, tau=5e-3, theta=0.3, **metadata):
    """A plain LIF population."""
    full = np.ones(n)
    return nir.LIF(full * tau, full, full * 0, full * theta, v_reset=full * 0, metadata=metadata)


def graph(nodes, edges):
    """A graph; ``name: integer`` makes an Input (names that start with "in") or an Output of that size."""
    made = {}
    for name, value in nodes.items():
        if isinstance(value, int):
            value = (
                nir.Input({"input": np.array([value])})
                if name.startswith("in")
                else nir.Output({"output": np.array([value])})
            )
        made[name] = value
    return nir.NIRGraph(made, edges, type_check=False)


def spikes(rng, *shape, rate=0.3):
    """Random spike trains."""
    return (rng.random(shape) < rate) * 1.0
