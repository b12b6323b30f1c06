"""What the walk over a traced forward must know of the tool that the network was written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor, nn

from hasn.conversions.layers import BATCH_NORMS, LAYERS, ONE_AHEAD, WAYS_OUT, LayerBuilder
from hasn.conversions.refuse import refusal
from hasn.conversions.update import Piece
from hasn.conversions.verify import Layout
from hasn.errors import HasnError
from hasn.program.model import Shape

if TYPE_CHECKING:
    from hasn.conversions.flow import Flow

#: The dimensions of a tensor before a sample's own: ("batch",), ("time", "batch"), or both in one.
Frame: TypeAlias = tuple[str, ...]
BATCH: Frame = ("batch",)
FLAT: Frame = ("batch*time",)

#: Module, its path, the shape that arrives, dt in seconds -> its NIR nodes.
NeuronBuilder: TypeAlias = Callable[[Any, str, Shape, float], Piece]

#: A copy of the module, what followed it, {Input: (T, batch, *shape)} -> {Output: (T, batch, *shape)}, from rest.
Run: TypeAlias = "Callable[[nn.Module, Flow, dict[str, Tensor]], Mapping[str, Tensor]]"


@dataclass(frozen=True)
class Tool:
    """A tool's modules as tables, and how it calls them.

    Attributes:
        name: the tool's.
        neurons: its neurons by type.
        is_neuron: whether the tool counts a module among its neurons (those that cannot be converted included).
        unknown: the refusal of a neuron or layer of the tool's that is in no table.
        run: runs a network at rest, for a comparison.
        rest: puts a network at rest.
        is_own: whether a module is the tool's and has no steps of its own to follow.
        layers: layers by type; torch's and the tool's.
        norms: batch normalisations, which are folded into the weights before them.
        states: module -> (states that a neuron takes after its input, what it gives); nothing given: spikes alone.
        inside: modules whose forward is not followed but stood in for: (module, steps, *arguments) -> what they give.
        frames: what an input of a network may have before its sample's dimensions, the likeliest first.
        takes: module -> the one frame that it takes; None: what torch's own layer takes.
        reframe: what to do where a module gets another frame than it takes.
        input_name: the name of a lone Input; None: the argument's.
        form: how to write one step of its neurons, in place of a loop over time.
    """

    name: str
    neurons: Mapping[type, NeuronBuilder]
    is_neuron: Callable[[nn.Module], bool]
    unknown: Callable[[nn.Module, str], HasnError]
    run: Run
    rest: Callable[[nn.Module], None] = lambda module: None
    is_own: Callable[[nn.Module], bool] = lambda module: False
    layers: Mapping[type, LayerBuilder] = field(default_factory=lambda: LAYERS)
    norms: tuple[type, ...] = BATCH_NORMS
    states: Callable[[nn.Module], tuple[tuple[str, ...], tuple[str, ...]]] = lambda module: ((), ())
    inside: Mapping[type, Callable[..., Any]] = field(default_factory=dict)
    frames: tuple[Frame, ...] = (BATCH,)
    takes: Callable[[nn.Module], Frame | None] = lambda module: None
    reframe: str = ""
    input_name: str | None = None
    form: str = ""

    @property
    def label(self) -> str:
        """Name and version."""
        try:
            return f"{self.name} {version(self.name.lower())}"
        except PackageNotFoundError:
            return self.name

    def layout(self, frame: Frame) -> Layout:
        """How the values of a module that gives this frame lie."""
        if frame == BATCH:
            return "steps"
        return "time first" if any(other[0] == "time" for other in self.frames) else "batch first"

    def stand_in(self, module: nn.Module) -> Callable[..., Any] | None:
        """What stands in for the module's forward; a subclass with a forward of its own is followed."""
        for kind, does in self.inside.items():
            if isinstance(module, kind) and type(module).forward is kind.forward:  # type: ignore[attr-defined]
                return does
        return None

    def is_leaf(self, module: nn.Module) -> bool:
        """Whether the module becomes nodes as a whole, or is refused as a whole."""
        return self.knows(module) or self.is_neuron(module) or self.is_own(module) or self._base(module) is not None

    def knows(self, module: nn.Module) -> bool:
        """Whether the module is in one of the tables."""
        if self.is_neuron(module):
            return type(module) in self.neurons
        return type(module) in self.layers or type(module) in self.norms

    def _base(self, module: nn.Module) -> type | None:
        """The layer in a table that the module's type is derived from."""
        return next((kind for kind in (*self.layers, *self.norms) if isinstance(module, kind)), None)

    def refused(self, module: nn.Module, path: str) -> HasnError:
        """The refusal of a module that is in no table."""
        if self.is_neuron(module) or self.is_own(module):
            return self.unknown(module, path)
        base = self._base(module)
        if base is not None:
            return refusal(
                path,
                None,
                f"{type(module).__name__} cannot be said in NIR: a subclass of {base.__name__} may compute anything",
                wanted=base.__name__,
                way_out=f"Use {base.__name__} itself, or write what is around it as layers.",
            )
        return refusal(
            path,
            None,
            f"{type(module).__name__} cannot be said in NIR",
            wanted=f"one of {', '.join(kind.__name__ for kind in self.layers)}, BatchNorm behind weights",
            way_out=WAYS_OUT.get(type(module).__name__, ""),
        )

    def frames_of(self, module: nn.Module) -> tuple[Frame, ...]:
        """The frames that a module takes; none: any."""
        wanted = self.takes(module)
        if wanted is not None:
            return (wanted,)
        return (BATCH, FLAT) if isinstance(module, ONE_AHEAD) else ()


def frame_text(frames: tuple[Frame, ...]) -> str:
    """As a shape, for messages."""
    return " or ".join(f"({', '.join(frame)}, *shape)" for frame in frames)
