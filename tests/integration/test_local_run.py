"""`activation run`, as a person would use it."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from activation.errors import StartError
from activation_cli.local import rabbitmq
from activation_cli.local.ports import free_port
from activation_cli.local.process import Child
from activation_cli.local.settings import LocalSettings
from activation_cli.local.system import LocalSystem

READY_S = 50.0
UP = "The system is up."


class Launcher:
    """`activation run` in a process of its own; its children are told by their environment."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = int(variables.get("PORT", free_port()))
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._child = Child(
            "launcher",
            [str(Path(sys.executable).with_name("activation")), "run"],
            log=folder.parent / f"{folder.name}.log",
            env=os.environ
            | {"ACTIVATION_DATA_DIR": str(folder), "PORT": str(self.port), "HANDLER_SECONDS": "0.2"}
            | variables,
        )

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop(timeout_s=25)

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_for(self, text: str) -> None:
        self._child.wait_ready(lambda: text in self.said(), timeout_s=READY_S)

    def said(self) -> str:
        return "\n".join(self._child.last_lines(100))

    def ends(self, limit_s: float = 25.0) -> int:
        """Wait for its end, and return the exit code."""
        deadline = time.monotonic() + limit_s
        while (code := self._child.exit_code) is None:
            assert time.monotonic() < deadline, f"still there after {limit_s} s: {self.said()}"
            time.sleep(0.05)
        return code

    def family(self) -> set[int]:
        """Return all processes that were started for this folder, and are no zombies."""
        mark = f"ACTIVATION_DATA_DIR={self.folder}\0".encode()
        return {
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and mark in _bytes(entry / "environ")
        }

    def part(self, package: str) -> int:
        """Return the process id of a service."""
        wanted = f"activation_{package}\0".encode()
        (pid,) = (
            pid for pid in self.family() if _bytes(Path(f"/proc/{pid}/cmdline")).endswith(wanted)
        )
        return pid


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def eventually(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def launcher(tmp_path: Path, amqp_url: str) -> Iterator[Launcher]:
    """A system that is up, on the RabbitMQ of the tests."""
    with Launcher(tmp_path / "data", RABBITMQ_URL=amqp_url) as started:
        started.wait_for(UP)
        yield started


@pytest.mark.timeout(150)
def test_a_second_start_goes_on_with_the_tasks_of_the_first(tmp_path: Path) -> None:
    """The samples end as they should; what was unfinished at the stop is done after it."""
    with Launcher(tmp_path / "data", HANDLER_SECONDS="3") as first:
        first.wait_for(UP)
        said = first.said()
        accepted = httpx.post(
            f"{first.url}/api/v1/equipment/cpe/ABC123456",
            json={"timeoutInSeconds": 60, "parameters": {}},
            timeout=10,
        ).json()
        family = first.family()
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does
        assert first.ends() == 0
    assert "CPE000001  succeeded" in said
    assert "DEV404001  failed" in said
    assert "unknown equipment" in said
    assert "DEV500001  failed" in said
    assert "provisioning error" in said
    assert len(family) >= 6  # ourselves, four parts, epmd
    assert set() == first.family()

    with Launcher(tmp_path / "data", HANDLER_SECONDS="3") as second:
        second.wait_for(UP)
        answer = httpx.get(
            f"{second.url}/api/v1/equipment/cpe/ABC123456/task/{accepted['taskId']}",
            headers={"Prefer": "wait=20"},
            timeout=30,
        )

    assert answer.status_code == 200
    assert answer.json()["message"] == "Completed"
    assert set() == second.family()


def test_sigterm_ends_everything_within_seconds(launcher: Launcher) -> None:
    """No process stays, and the exit code is 0: it was asked to stop."""
    os.kill(launcher.pid, signal.SIGTERM)

    assert launcher.ends(limit_s=12) == 0
    assert launcher.said().endswith("stopped")
    assert launcher.family() == set()


def test_sigkill_leaves_no_process(launcher: Launcher) -> None:
    """The parts end with their launcher even when it cannot stop them."""
    assert len(launcher.family()) >= 4

    os.kill(launcher.pid, signal.SIGKILL)

    assert eventually(lambda: not launcher.family())


def test_the_end_of_a_part_ends_the_rest(launcher: Launcher) -> None:
    """Half a system is none: it says which part ended and how, and leaves with 1."""
    os.kill(launcher.part("worker"), signal.SIGKILL)

    assert launcher.ends() == 1
    assert "error: worker was killed by SIGKILL; the end of " in launcher.said()
    assert f"{launcher.folder}/logs/worker.log:" in launcher.said()
    assert launcher.family() == set()


def test_a_second_system_is_refused(launcher: Launcher, amqp_url: str, tmp_path: Path) -> None:
    """On the same folder or the same port a second one cannot start, and the first goes on."""
    with Launcher(launcher.folder) as same_folder:
        assert same_folder.ends() == 1
    port = str(launcher.port)
    with Launcher(tmp_path / "other", RABBITMQ_URL=amqp_url, PORT=port) as same_port:
        assert same_port.ends() == 1

    assert f"another system runs in the data folder {launcher.folder}" in same_folder.said()
    assert f"port {port}: Address already in use; name another with PORT" in same_port.said()
    assert httpx.get(f"{launcher.url}/readyz", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"RABBITMQ_URL": "amqp://u:marked@127.0.0.1:1/"}, "RABBITMQ_URL cannot be used: "),
        ({"RABBITMQ_URL": "http://u:marked@h/"}, "RABBITMQ_URL must look like amqp://"),
        ({"RABBITMQ_URL": "amqp://u:marked@h:x/"}, "RABBITMQ_URL must look like amqp://"),
        ({"DATABASE_URL": "postgresql://u:marked@127.0.0.1:1/x"}, "DATABASE_URL cannot be used: "),
        ({"DATABASE_URL": "oracle://u:marked@h/x"}, "DATABASE_URL cannot be used: "),
        ({"ACTIVATION_DATA_DIR": "/proc/x"}, "cannot use the data folder /proc/x: "),
    ],
)
def test_a_wrong_setting_is_one_line(
    tmp_path: Path, variables: dict[str, str], complaint: str
) -> None:
    """What cannot be used is named, without its password, before anything is started."""
    with Launcher(tmp_path / "data", **variables) as launcher:
        assert launcher.ends() == 1

    said = launcher.said()
    assert said.startswith(f"error: {complaint}")
    assert len(said.splitlines()) == 1
    assert "marked" not in said


def test_without_rabbitmq_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without the package gets the sentence that helps."""
    monkeypatch.setattr(rabbitmq, "_DEBIAN_PROGRAMS", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StartError, match="install the package rabbitmq-server"):
        LocalSystem(LocalSettings(tmp_path))
