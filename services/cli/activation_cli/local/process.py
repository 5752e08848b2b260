"""One child process: its log, its readiness, and its end, which never comes later than ours."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from activation.errors import StartError

_POLL_S: Final = 0.05

# The kernel sends the death signal when the *thread* that made the child ends (prctl(2),
# PR_SET_PDEATHSIG). This one lives as long as the process, whoever calls `Child.start`.
_spawner: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Child:
    """A process that we start, watch and stop.

    It is in a process group of its own, so that Ctrl-C on the terminal reaches it through us only,
    and it gets `death_signal` when we die, even by SIGKILL.

    Args:
        name: What messages call it.
        command: Program and arguments.
        log: Standard output and error are appended here.
        env: The whole environment; ours by default.
        folder: Where it runs; our own folder by default.
        user: Whom to become; only root may say it.
        death_signal: The name of the signal that it gets when we die, without `SIG`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: str | None = None,
        death_signal: str = "KILL",
    ) -> None:
        self.name = name
        self.log = log
        self._command = ["setpriv", "--pdeathsig", death_signal, "--", *map(str, command)]
        self._env = env
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; empty while it runs or before a start."""
        return self._process.poll() if self._process else None

    @property
    def how_it_ended(self) -> str:
        """The exit code in words."""
        code = self.exit_code
        if code is None:
            return "has not ended"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and return at once.

        Raises:
            StartError: The program or its folder cannot be used.
        """
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                self._process = _spawner.submit(
                    subprocess.Popen,
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._folder,
                    user=self._user,
                    group=self._user,
                    extra_groups=None if self._user is None else [],
                    process_group=0,
                ).result()
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            raise StartError(f"cannot start {self.name}:{where} {error.strerror}") from error

    def wait_ready(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until the probe says yes.

        Raises:
            StartError: It ended, or the time is up; with the last line of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self.running:
                raise StartError(self._complaint(self.how_it_ended))
            if time.monotonic() > deadline:
                raise StartError(self._complaint(f"was not ready after {timeout_s:g} s"))
            time.sleep(_POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            self._started().send_signal(number)

    def stop(self, *, by: signal.Signals = signal.SIGTERM, timeout_s: float = 10.0) -> int | None:
        """Ask it to end, kill it when the time is up, and return the exit code."""
        self.send(by)
        try:
            return self._process.wait(timeout_s) if self._process else None
        except subprocess.TimeoutExpired:
            self.kill()
            return self.exit_code

    def kill(self) -> None:
        """Kill it and its descendants: SIGKILL, as the kernel or a node failure would."""
        if not self.running:
            return
        family = [self.pid, *_descendants(self.pid)]  # parents first, they might replace a child
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended with its parent
        self._started().wait()

    def last_lines(self, count: int) -> list[str]:
        """Return the end of what it wrote since the last start, without empty lines."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]

    def _complaint(self, what: str) -> str:
        said = next((line for line in reversed(self.last_lines(50)) if _says_something(line)), "")
        return f"{self.name} {what}: {said.strip() or 'it wrote nothing'} (log: {self.log})"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


def _says_something(line: str) -> bool:
    return any(character.isalpha() for character in line)


def _descendants(pid: int) -> list[int]:
    """Return the children of all threads of a process, and theirs (proc(5))."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listing.read_text(encoding="ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended meanwhile
        for child in map(int, children):
            found += [child, *_descendants(child)]
    return found
