"""`hasn lava`: Lava's own Python 3.10 environment."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Lava's own Python 3.10 environment.")

Optional = Annotated[bool, typer.Option("--optional", help="Where no Python 3.10 can be had, say so and exit with 0.")]
Force = Annotated[bool, typer.Option("--force", help="Make the environment anew, even if it is there.")]
Netx = Annotated[bool, typer.Option("--netx", help="Also install lava-dl's reader of .net files (no torch).")]
Json = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON.")]


@app.command()
def setup(optional: Optional = False, force: Force = False, netx: Netx = False) -> None:
    """Make Lava's environment (Python 3.10, lava-nc 0.10.0), unless it is there.

    Python 3.10 is looked for in $HASN_LAVA_PYTHON, pyenv's versions, on PATH, and among uv's managed Pythons. The
    environment goes to $HASN_LAVA_ENV, else into hasn's virtual environment, else to ~/.local/share/hasn.

    Example: hasn lava setup
    """
    from hasn.backends.lava.environment import SetupFailed, add_netx, set_up, status
    from hasn.cli.console import stdout as console

    before = status()
    if before.installed and not force and (not netx or "lava-dl" in before.versions):
        console.print(
            f"Lava is set up: {_one_line(before.versions)} in {before.folder}", soft_wrap=True, highlight=False
        )
        return
    try:
        with console.status("Lava") as spinner:

            def tell(text: str) -> None:
                spinner.update(f"Lava: {text}")
                if not console.is_terminal:  # a log shows no spinner
                    console.print(f"Lava: {text}", soft_wrap=True, highlight=False, markup=False)

            made = set_up(force, tell)
            if netx:
                made = add_netx(tell)
    except SetupFailed as failure:
        console.print(f"Lava was not set up: {failure}", soft_wrap=True, highlight=False, markup=False)
        if failure.search.python is None:
            for line in failure.search.tried:
                console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
            console.print(
                "Install Python 3.10, or name one in HASN_LAVA_PYTHON, and run: hasn lava setup", soft_wrap=True
            )
            if optional:
                console.print("The other backends work without it.")
                return
        raise typer.Exit(1) from None
    console.print(f"Lava is set up: {_one_line(made.versions)} in {made.folder}", soft_wrap=True, highlight=False)


@app.command(name="status")
def show(as_json: Json = False) -> None:
    """Say whether Lava's environment is there, and what is in it; exit status 1 if it is not.

    Example: hasn lava status --json
    """
    from hasn.backends.lava.environment import status
    from hasn.cli.console import show as tell
    from hasn.cli.console import show_json

    found = status()
    if as_json:
        show_json(found.as_dict())
    elif found.installed:
        tell(f"{_one_line(found.versions)} in {found.folder}")
    else:
        tell(found.why_not)
    if not found.installed:
        raise typer.Exit(1)


def _one_line(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
