"""The command line: `hasn --help`."""


def main() -> int:
    """Run the command line; the exit status."""
    import signal
    import warnings

    from hasn.cli import streams
    from hasn.cli.app import app
    from hasn.cli.errors import Terminated

    def end(*_: object) -> None:
        raise Terminated

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup's, say, stays
            signal.signal(number, end)
    streams.make_writable()
    warnings.showwarning = streams.show_warning
    try:
        app(prog_name="hasn")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:
        if not streams.is_stream_error(error):
            raise
        status = streams.gone(error)
    else:
        status = 0
    return streams.finish(status)
