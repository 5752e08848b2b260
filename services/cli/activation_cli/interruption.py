"""How a command is interrupted."""

import signal


def end_like_ctrl_c() -> None:
    """Make SIGTERM and a closed terminal do what Ctrl-C does, also where that is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
