"""The command line: `hasn --help`."""


def main() -> int:
    """Run the command line; the exit status."""
    try:
        return _main()
    except KeyboardInterrupt:  # before a command was there to answer
        return 130


def _main() -> int:
    import logging
    import signal
    import warnings

    from hasn.cli import console, streams
    from hasn.cli.app import app
    from hasn.cli.errors import Terminated

    def end(*_: object) -> None:
        raise Terminated

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup's, say, stays
            signal.signal(number, end)
    streams.make_writable()
    warnings.showwarning = console.show_warning
    try:
        app(prog_name="hasn")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if status >= 128:  # stopped: what Brian2 thinks of objects that are dropped half made is of no use
            logging.disable(logging.WARNING)
    except OSError as error:
        if not streams.is_stream_error(error):
            raise
        status = streams.gone(error)
    else:
        status = 0
    return streams.finish(status)
