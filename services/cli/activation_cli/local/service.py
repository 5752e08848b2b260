"""One of our services as a child process."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from activation_cli.local.probes import http_ok
from activation_cli.local.process import Child

_READY_S: Final = 60.0
_STOP_S: Final = 10.0


class Service:
    """A service of this environment, ready when a URL says so.

    Args:
        name: What messages call it.
        log: Its log file.
        ready_url: Answers 200 when it is ready.
        env: Variables that it reads; they win over those that it inherits.
        inherited: Other variables; our own environment by default.
        package: Its package is `activation_<package>`; its name by default.

    Attributes:
        ready_url: The one that was given.
    """

    def __init__(
        self,
        name: str,
        *,
        log: Path,
        ready_url: str,
        env: Mapping[str, str],
        inherited: Mapping[str, str] = os.environ,
        package: str | None = None,
    ) -> None:
        command = [sys.executable, "-m", f"activation_{package or name}"]
        self.process = Child(name, command, log=log, env={**inherited, **env})
        self.ready_url = ready_url

    def launch(self) -> None:
        """Start it and return at once; errors as in `Child.start`."""
        self.process.start()

    def wait_ready(self) -> None:
        """Wait until it is ready; errors as in `Child.wait_ready`."""
        self.process.wait_ready(lambda: http_ok(self.ready_url), timeout_s=_READY_S)

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        self.process.stop(timeout_s=_STOP_S)
