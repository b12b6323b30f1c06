"""The commands, put together. What a command needs is imported when it runs, so that `hasn --help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from hasn.cli.backends import backends
from hasn.cli.check import check
from hasn.cli.compare import compare
from hasn.cli.demo import demo
from hasn.cli.demo_learning import demo_learning
from hasn.cli.energy import energy
from hasn.cli.errors import Group
from hasn.cli.export import export
from hasn.cli.info import info
from hasn.cli.lava import app as lava
from hasn.cli.place import place
from hasn.cli.quantise import quantise
from hasn.cli.repair import repair
from hasn.cli.run import run
from hasn.cli.set import set_metadata
from hasn.cli.train import train

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hasn {version('hasn')}")
        raise typer.Exit


@app.callback()
def hasn(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One spiking network, written once as a NIR graph, run on every simulator, with proof that they agree.

    Example: hasn compare model.nir --dt 1e-3 --report report.html

    Exit status: 0; 1 a mistake, or a no; 2 a command line that cannot be read; 3 nothing was there to compare or
    measure; 130 stopped by Ctrl-C, 143 by SIGTERM. HASN_DEBUG=1 adds a mistake's traceback.
    """


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo, "backends": backends, "info": info, "check": check, "set": set_metadata,
    "repair": repair, "run": run,
    "demo-learning": demo_learning,
    "compare": compare, "train": train, "quantise": quantise, "export": export, "place": place,
    "energy": energy,
}  # fmt: skip
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(lava, name="lava")
