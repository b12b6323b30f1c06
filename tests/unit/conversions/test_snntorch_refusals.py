"""What NIR cannot say is an error with the module, the setting, its value and the way out."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from hasn.errors import HasnError, ParameterError, UnsupportedError
from tests.unit.conversions.snntorch_nets import DT, excited, hidden, snn, torch

from hasn.conversions.snntorch import from_snntorch  # isort: skip
from hasn.conversions.snntorch.settings import FORMS, REFUSED, unknown_neuron  # isort: skip
from torch import nn  # isort: skip


class MyLeaky(snn.Leaky):  # type: ignore[misc]
    pass


def late(kind: Any, *args: Any, **options: Any) -> Callable[[], Any]:
    """A neuron, made when the test runs: snnTorch warns about some."""
    return lambda: hidden(kind, *args, **options)


def changed(name: str, value: Any) -> Callable[[], Any]:
    def make() -> Any:
        neuron = hidden(snn.Leaky, 0.9)
        setattr(neuron, name, value)
        return neuron

    return make


#: Forward passes that are 1[x > 0] but for some x.
NO_STEPS: dict[str, Callable[[Any], Any]] = {
    "at 0": lambda x: (x >= 0) * 1.0,
    "low": lambda x: (x < -500) + (x > 0) * 1.0,
    "high": lambda x: (x > 0) * (x < 500) * 1.0,
    "above 0": lambda x: (x > 5e-6) * 1.0,
    "below 0": lambda x: (x > -5e-6) * 1.0,
    "half": lambda x: (x > 0.5) * 1.0,
    "about -1": lambda x: ((x > 0) | ((x < -0.5) & (x > -2))) * 1.0,
    "about 1": lambda x: ((x > 0) & ~((x > 0.5) & (x < 2))) * 1.0,
    "below half": lambda x: (x > -2.0) * 1.0,
    "graded": lambda x: (x > 0) * 2.0,
    "relu": lambda x: x.clamp(min=0),
}


@pytest.mark.parametrize("name", NO_STEPS)
def test_a_surrogates_forward_pass_is_looked_at(name: str) -> None:
    net = nn.Sequential(excited(6, 4), hidden(snn.Leaky, 0.9, spike_grad=NO_STEPS[name]))
    with pytest.raises(UnsupportedError, match="its forward pass is not") as error:
        from_snntorch(net, dt=DT)
    assert (error.value.node, error.value.parameter) == ("1", "spike_grad")
    assert error.value.way_out == "Use one of snntorch.surrogate."


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: str(kind.__name__))
def test_what_a_neuron_takes_and_gives_is_what_its_forward_does(kind: Any) -> None:
    takes = [name.rstrip("_") for name in inspect.signature(kind.forward).parameters][2:]
    assert list(FORMS[kind].takes) == takes
    options = {"linear_features": 4} if FORMS[kind].recurrent else {}
    decays = [0.9, 0.8] if FORMS[kind].synapse else [0.9]
    given = kind(*decays, **options)(torch.ones(1, 4)) if not FORMS[kind].capacitor else kind(0.9)(torch.ones(1, 4))
    assert len(FORMS[kind].gives) == len(given)
    assert (FORMS[kind].gives[0], FORMS[kind].gives[-1]) == ("spk", "mem")


def test_every_other_neuron_of_snntorchs_is_refused_with_a_reason() -> None:
    known = {kind.__name__ for kind in FORMS}
    there = {
        name for name, kind in vars(snn).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__.startswith("snntorch._neurons")
    } - {"SpikingNeuron", "LIF", *known}  # the bases of the others  # fmt: skip
    assert there <= set(REFUSED)
    for name, why in REFUSED.items():
        refusal = unknown_neuron(type(name, (nn.Module,), {})(), "a.b")
        assert str(refusal).startswith(f"node 'a.b': {name} cannot be said in NIR: {why}")
        assert f"wanted one of {', '.join(kind.__name__ for kind in FORMS)}" in str(refusal)
    assert "an LSTM cell" in REFUSED["SLSTM"]
    unheard = unknown_neuron(type("Unheard", (nn.Module,), {})(), "a")
    assert str(unheard).startswith("node 'a': Unheard cannot be said in NIR; got Unheard")


def random_spikes(x: Any) -> Any:
    return torch.bernoulli(torch.sigmoid(x))


#: what the message must say -> the neuron behind a Linear(6, 4), path "1"
NEURONS: dict[str, tuple[str, Callable[[], Any]]] = {
    "inhibition": ("'1' inhibition: .* got True", late(snn.Leaky, 0.9, inhibition=True)),
    "state_quant": ("'1' state_quant: ", late(snn.Leaky, 0.9, state_quant=lambda mem: mem)),
    "graded": (r"'1' graded_spikes_factor: .*got 2.0", late(snn.Leaky, 0.9, graded_spikes_factor=2.0)),
    "random spikes": ("'1' spike_grad", late(snn.Leaky, 0.9, spike_grad=random_spikes)),
    "subtract now": ("reset_delay=False snnTorch subtracts once more", late(snn.Leaky, 0.9, reset_delay=False)),
    "Synaptic subtract now": ("subtracts once more", late(snn.Synaptic, 0.8, 0.9, reset_delay=False)),
    "Synaptic zero": ("loses that step's input", late(snn.Synaptic, 0.8, 0.9, reset_mechanism="zero")),
    "Lapicque zero": ("loses that step's input", late(snn.Lapicque, R=1.0, C=5.0, reset_mechanism="zero")),
    "RLeaky zero": ("loses that step's", late(snn.RLeaky, 0.9, linear_features=4, reset_mechanism="zero")),
    "RSynaptic now": (
        "own forward fails",
        late(snn.RSynaptic, 0.8, 0.9, linear_features=4, reset_mechanism="zero", reset_delay=False),
    ),
    "no memory": ("'1' beta: of 0 with the delayed subtract", late(snn.Leaky, 0.0)),
    "some leak": ("'1' beta: some neurons", late(snn.Leaky, torch.tensor([1.0, 0.9, 1.0, 0.5]))),
    "negative threshold": ("'1' threshold: is negative", late(snn.Leaky, 0.9, threshold=-1.0)),
    "not per neuron": ("'1' beta: is not one value for each neuron", late(snn.Leaky, torch.full((3,), 0.5))),
    "NaN": ("'1' threshold: has a value with no meaning", late(snn.Leaky, 0.9, threshold=float("nan"))),
    "short RC": (r"'1' R\*C: is no longer than time_step", late(snn.Lapicque, R=1.0, C=0.5)),
    "changed reset": ("'1' reset_mechanism: was changed after", changed("reset_mechanism", "zero")),
    "loop of another size": ("'1' recurrent", late(snn.RLeaky, 0.9, linear_features=5)),
    "Alpha": ("'1': Alpha cannot be said in NIR: its membrane", late(snn.Alpha, 0.9, 0.8)),
    "SLSTM": ("SLSTM cannot be said", lambda: snn.SLSTM(4, 4, init_hidden=True)),
    "LeakyParallel": ("LeakyParallel cannot be said", lambda: snn.LeakyParallel(4, 4)),
    "subclass": ("a subclass of Leaky may compute anything", late(MyLeaky, 0.9)),
    "visible states in the middle": ("takes a neuron's states", lambda: nn.Sequential(snn.Leaky(0.9), nn.Linear(4, 4))),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons(name: str) -> None:
    words, make = NEURONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # snnTorch's about inhibition
        net = nn.Sequential(excited(6, 4), make()).eval()
    with pytest.raises(UnsupportedError, match=words):
        from_snntorch(net, dt=DT)


LAYERS: dict[str, tuple[str, Callable[[], Any], tuple[int, ...]]] = {
    "padding_mode": ("'0' padding_mode: .*'circular'", lambda: nn.Conv2d(1, 2, 3, padding_mode="circular"), (1, 6, 6)),
    "ceil_mode": ("'0' ceil_mode", lambda: nn.AvgPool2d(2, ceil_mode=True), (1, 5, 5)),
    "count_include_pad": ("'0' count", lambda: nn.AvgPool2d(3, padding=1, count_include_pad=False), (1, 6, 6)),
    "divisor": ("'0' divisor_override", lambda: nn.AvgPool2d(2, divisor_override=3), (1, 6, 6)),
    "flatten batch": ("'0' start_dim: it would merge the batch", lambda: nn.Flatten(0), (2, 3)),
    "dropout": ("'0' training: .*eval", lambda: nn.Dropout(0.5).train(), (4,)),
    "lone norm": ("'0': batch normalisation behind Input", lambda: nn.BatchNorm1d(4).eval(), (4,)),
    "max": ("'0': MaxPool2d .*Linear, Conv1d.*NIR has no maximum", lambda: nn.MaxPool2d(2), (1, 6, 6)),
    "relu": ("'0': ReLU cannot be said", lambda: nn.ReLU(), (4,)),
    "wide linear": ("'0': a Linear over the last", lambda: nn.Linear(4, 3), (2, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    words, make, shape = LAYERS[name]
    with pytest.raises(UnsupportedError, match=words):
        from_snntorch(nn.Sequential(make(), hidden(snn.Leaky, 0.9)), input_shape=shape, dt=DT)


class Does(nn.Module):
    """fc, a neuron, and something with what comes out."""

    def __init__(self, does: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.fc, self.lif, self.does = excited(4, 4), snn.Leaky(0.9), does

    def forward(self, x: Any) -> Any:
        return self.does(self, self.fc(x))


FORWARDS = {
    "called twice": ("not those of the converted node", Does(lambda net, x: net.lif(net.fc(net.lif(x)[0]))[0])),
    "product": ("mul is no NIR node", Does(lambda net, x: net.lif(x * 2.0)[0])),
    "decision": ("torch.fx cannot follow", Does(lambda net, x: net.lif(x)[0] if x.sum() > 0 else x)),
    "own state": ("'lif' mem: the state is computed in forward", Does(lambda net, x: net.lif(x, net.fc(x))[0])),
    "membrane": ("returns no spikes", Does(lambda net, x: net.lif(x)[1])),
    "double": ("'lif': adds 'fc' to itself", Does(lambda net, x: net.lif(x + x)[0])),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_forwards(name: str) -> None:
    words, net = FORWARDS[name]
    with pytest.raises(UnsupportedError, match=words):
        from_snntorch(net, input_shape={"x": (4,)}, dt=DT)


class Wired(nn.Module):
    """A Linear, a norm, a neuron and other parts, wired by a function."""

    def __init__(self, does: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.fc, self.fc2, self.bn, self.lif, self.does = (
            excited(4, 4), excited(4, 4), nn.BatchNorm1d(4), hidden(snn.Leaky, 0.9), does,
        )  # fmt: skip
        self.kept = nn.Parameter(torch.ones(4))
        self.wide, self.drop = nn.Linear(4, 3), nn.Dropout()

    def forward(self, x: Any) -> Any:
        return self.does(self, x)


def normed_sum(net: Any, x: Any) -> Any:
    return net.lif(net.bn(net.fc(x) + net.fc2(x)))


def normed_beside(net: Any, x: Any) -> Any:
    h = net.fc(x)
    return net.lif(net.bn(h) + h)


def normed_beside_dropout(net: Any, x: Any) -> Any:
    """In evaluation Dropout has no node: folded into ``fc``, the norm would change what goes beside it too."""
    h = net.fc(x)
    return net.lif(net.bn(net.drop(h)) + h)


def normed_twice_beside(net: Any, x: Any) -> Any:
    h = net.fc(x)
    return net.lif(net.bn(net.drop(h).detach()) + net.fc2(h))


WIRED: dict[str, tuple[Callable[[Any, Any], Any], str, str | None, str]] = {  # forward, node, parameter, words
    "norm of a sum": (normed_sum, "bn", None, "batch normalisation of a sum, or of what feeds another"),
    "norm of what is used again": (normed_beside, "bn", None, "batch normalisation of a sum, or of what feeds another"),
    "norm behind a dropout": (normed_beside_dropout, "bn", None, "of what feeds another layer too"),
    "norm behind a dropout and detach": (normed_twice_beside, "bn", None, "of what feeds another layer too"),
    "norm of the input": (lambda net, x: net.lif(net.bn(x)), "bn", None, "behind Input cannot be folded"),
    "norm of other channels": (lambda net, x: net.lif(net.bn(net.wide(x))), "bn", "num_features", "does not fit"),
    "tensor": (lambda net, x: net.lif(net.fc(x) + net.kept), "(the module)", "kept", "takes part in forward"),
    "shapes": (lambda net, x: net.lif(net.wide(x) + net.fc(x)), "(the module)", "forward", "a sum of two shapes"),
    "method": (lambda net, x: net.lif(net.fc(x).relu()), "(the module)", "forward", r"\.relu\(\) is no NIR node"),
    "scaled sum": (lambda net, x: net.lif(torch.add(net.fc(x), net.fc2(x), alpha=2)), "(the module)", "forward",
                   "add is no NIR node"),
    "number": (lambda net, x: net.lif(net.fc(x) + 1.0), "(the module)", None, "takes no signal"),
}  # fmt: skip


@pytest.mark.parametrize("name", WIRED)
def test_wirings(name: str) -> None:
    does, node, parameter, words = WIRED[name]
    with pytest.raises(UnsupportedError, match=words) as error:
        from_snntorch(Wired(does).eval(), input_shape=(4,), dt=DT)
    assert (error.value.node, error.value.parameter) == (node, parameter)


def test_all_that_cannot_be_said_is_named_at_once() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), hidden(snn.Leaky, 0.9), nn.Sequential(nn.ReLU(), nn.GELU()), nn.Flatten(),
        nn.Linear(8, 4), snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True),
    ).eval()  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"'1': MaxPool2d cannot be said") as error:
        from_snntorch(net, input_shape=(1, 6, 6), dt=DT)
    also = str(error.value.way_out).split("Refused as well:\n  ")[1].split("\n  ")
    assert [text.split(" cannot be said in NIR")[0] for text in also] == ["'3.0': ReLU", "'3.1': GELU", "'6': Alpha"]


@pytest.mark.parametrize(
    ("layers", "shape", "wanted"),
    [
        ((nn.Conv2d(1, 2, 3), nn.BatchNorm2d(3)), (1, 6, 6), "(3, n, n)"),
        ((nn.Conv1d(1, 2, 3), nn.BatchNorm1d(3)), (1, 6), "(3) or (3, n)"),
        ((nn.Linear(4, 2), nn.BatchNorm2d(2)), (4,), "(2, n, n)"),
        ((nn.Conv2d(1, 2, 3), nn.BatchNorm1d(2)), (1, 6, 6), "(2) or (2, n)"),
    ],
)
def test_a_norm_that_does_not_fit(layers: Any, shape: Any, wanted: str) -> None:
    with pytest.raises(UnsupportedError, match="does not fit what arrives") as error:
        from_snntorch(nn.Sequential(*layers).eval(), input_shape=shape, dt=DT)
    assert (error.value.node, error.value.parameter, error.value.wanted) == ("1", "num_features", wanted)


def test_a_linear_of_another_size() -> None:
    net = nn.Sequential(nn.Linear(4, 3), hidden(snn.Leaky, 0.9), nn.Linear(5, 2), hidden(snn.Leaky, 0.9)).eval()
    with pytest.raises(UnsupportedError, match="does not fit what arrives") as error:
        from_snntorch(net, dt=DT)
    assert (error.value.node, error.value.parameter) == ("2", "in_features")
    assert (error.value.got, error.value.wanted) == ((3,), "(5,)")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: Any) -> None:
    net = nn.Sequential(excited(4, 4), nn.Sequential(excited(4, 4).to(dtype)), hidden(snn.Leaky, 0.9)).eval()
    with pytest.raises(UnsupportedError, match=r"module\.float\(\)") as error:
        from_snntorch(net, dt=DT)
    assert (error.value.node, error.value.parameter) == ("1.0", "weight")
    assert error.value.got == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("shape", [(), (0,), (-3,), (2.0,), ((2, 3),), "ab"])
def test_what_is_no_shape(shape: Any) -> None:
    with pytest.raises(HasnError, match="is not a shape") as error:
        from_snntorch(nn.Sequential(excited(4, 4), hidden(snn.Leaky, 0.9)), input_shape=shape, dt=DT)
    assert (error.value.parameter, error.value.got) == ("input_shape", repr(shape))  # type: ignore[attr-defined]


def test_weights_that_are_no_numbers() -> None:
    broken = nn.Sequential(excited(4, 4), hidden(snn.Leaky, 0.9))
    with torch.no_grad():
        broken[0].weight[1, 2] = float("nan")
    with pytest.raises(ParameterError) as error:
        from_snntorch(broken, dt=DT)
    assert (error.value.node, error.value.parameter) == ("0", "weight")


@pytest.mark.parametrize("dt", [0.0, -1e-3, float("nan"), None, "fast"])
def test_dt(dt: Any) -> None:
    with pytest.raises(HasnError, match="dt"):
        from_snntorch(nn.Sequential(excited(6, 4), hidden(snn.Leaky, 0.9)), dt=dt)


def stepped(neuron: Any, inputs: list[float]) -> list[float]:
    """The membrane after each input, from rest."""
    with torch.no_grad():
        return [float(neuron(torch.tensor([[value]]))[-1]) for value in inputs]


def test_the_delayed_zero_reset_is_another_in_leaky_than_in_the_others() -> None:
    """Why one is taken and the others are refused: the step after a spike keeps its input, or loses it."""
    options = {"reset_mechanism": "zero", "threshold": 1.0}
    assert stepped(snn.Leaky(0.5, **options), [2.0, 0.75]) == [2.0, 0.75]
    assert stepped(snn.Synaptic(0.0, 0.5, **options), [2.0, 0.75]) == [2.0, 0.0]
    assert stepped(snn.RLeaky(0.5, V=0.0, all_to_all=False, **options), [2.0, 0.75]) == [2.0, 0.0]
    assert stepped(snn.Lapicque(R=1.0, C=2.0, **options), [4.0, 1.5]) == [2.0, 0.0]


def test_subtracting_at_once_subtracts_again_and_adds_back() -> None:
    """No decay, threshold 1, one input of 3.5, then nothing: at once, the third step takes 1 off and puts it back."""
    assert stepped(snn.Leaky(1.0, reset_delay=False), [3.5, 0.0, 0.0, 0.0]) == [2.5, 1.5, 1.5, 1.5]
    assert stepped(snn.Leaky(1.0), [3.5, 0.0, 0.0, 0.0, 0.0]) == [3.5, 2.5, 1.5, 0.5, 0.5]


def test_rsynaptic_without_delay_fails_in_snntorch_itself() -> None:
    neuron = snn.RSynaptic(0.8, 0.9, linear_features=4, reset_delay=False, init_hidden=True)
    with pytest.raises((TypeError, RuntimeError)):
        neuron(torch.ones(1, 4))


def test_weights_that_are_not_there_yet_are_refused_by_path() -> None:
    net = nn.Sequential(nn.LazyLinear(3), hidden(snn.Leaky, 0.9)).eval()
    with pytest.raises(UnsupportedError, match=r"'0' weight: LazyLinear has no weights yet.*on a sample first"):
        from_snntorch(net, input_shape=(4,), dt=DT)
    net(torch.ones(1, 4))
    assert from_snntorch(net, dt=DT).nodes["0"].weight.shape == (3, 4)


class Twice(nn.Linear):
    def forward(self, x: Any) -> Any:
        return 2 * super().forward(x)


def test_a_subclass_of_a_layer_is_refused_by_path() -> None:
    with pytest.raises(UnsupportedError, match="'0': Twice cannot be said in NIR: a subclass of Linear may") as error:
        from_snntorch(nn.Sequential(Twice(4, 3), hidden(snn.Leaky, 0.9)).eval(), dt=DT)
    assert "Use Linear itself" in str(error.value)
