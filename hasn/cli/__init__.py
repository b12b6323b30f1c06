"""The command line: `hasn --help`."""


def main() -> None:
    """Run the command line."""
    from hasn.cli.app import app

    app()
