"""A private PostgreSQL server: own data folder, own port, on the loopback interface only."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from activation.errors import StartError
from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.local.probes import speaks_postgres
from activation_cli.local.process import Child

_DEBIAN_PROGRAMS: Final = Path("/usr/lib/postgresql")
_USER: Final = "activation"
_INITDB_TIMEOUT_S: Final = 60.0


class PostgresServer:
    """A PostgreSQL server in a folder; starting it again continues with its databases.

    PostgreSQL refuses to run as root. Then it runs as `postgres` or `nobody`, who must be able to
    reach the folder and is made its owner.

    Args:
        folder: Where it keeps everything, its log too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._port = free_port()
        self._user = _unprivileged_user()
        self._programs = _programs()
        self._server = Child(
            "PostgreSQL",
            [
                self._programs / "postgres",
                *("-D", self._folder / "data"),
                *("-h", LOOPBACK),
                *("-p", str(self._port)),
                *("-c", "unix_socket_directories="),
            ],
            log=self._folder / "postgres.log",
            folder=self._folder,
            user=self._user,
            death_signal="QUIT",  # "immediate": a killed postmaster would leave shared memory
        )

    @property
    def process(self) -> Child:
        """The server's process, the postmaster."""
        return self._server

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database; its user is a superuser without a password."""
        return f"postgresql://{_USER}@{LOOPBACK}:{self._port}/{database}"

    def launch(self) -> None:
        """Start it and return at once; the first time the data folder is made before.

        Raises:
            StartError: A program is missing or the folder cannot be used.
        """
        if not (self._folder / "data").exists():
            self._make_data_folder()
        self._server.start()

    def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until it takes connections.

        Raises:
            StartError: It ended or took too long; with the last line of its log.
        """
        self._server.wait_ready(lambda: speaks_postgres(self._port, _USER), timeout_s=timeout_s)

    def start(self) -> None:
        """Start it and wait until it takes connections; errors as in `launch` and `wait_ready`."""
        self.launch()
        self.wait_ready()

    def stop(self, *, immediately: bool = False) -> None:
        """End it as a restart does: connections are cut, what is committed is kept ("fast").

        Immediately means without writing anything more: the next start recovers from the log.
        """
        by = signal.SIGQUIT if immediately else signal.SIGINT
        self._server.stop(by=by, timeout_s=30.0)

    def kill(self) -> None:
        """End it by SIGKILL, with all its processes."""
        self._server.kill()

    def restart(self) -> None:
        """Stop and start it; the address stays."""
        self.stop()
        self.start()

    def _make_data_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._user is not None:
                shutil.chown(self._folder, self._user)
            subprocess.run(  # noqa: S603  # the program is PostgreSQL's own
                [
                    self._programs / "initdb",
                    *("-D", self._folder / "data"),
                    *("--username", _USER),
                    *("--auth", "trust"),
                    *("--encoding", "UTF8"),
                    *("--locale", "C.UTF-8"),
                    "--no-sync",  # only of initdb itself
                ],
                check=True,
                capture_output=True,
                cwd=self._folder,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                timeout=_INITDB_TIMEOUT_S,
            )
        except OSError as error:
            raise StartError(f"cannot use {error.filename}: {error.strerror}") from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise StartError(f"cannot make {self._folder / 'data'}: {said}") from error


def _programs() -> Path:
    found = [each for each in _DEBIAN_PROGRAMS.glob("*/bin") if (each / "initdb").exists()]
    if found:
        return max(found, key=lambda each: float(each.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        raise StartError("initdb is missing: install the package postgresql")
    return Path(initdb).parent


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
