"""A child process: started, watched, ended, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activation.errors import StartError
from activation_cli.local.process import Child

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def shell(script: str, folder: Path) -> Child:
    return Child("sample", ["sh", "-c", script], log=folder / "sample.log")


def said(child: Child, text: str) -> Callable[[], bool]:
    return lambda: text in child.last_lines(10)


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_it_is_ready_when_the_probe_says_so(tmp_path: Path) -> None:
    """Readiness waits for the child's own sign, and its output is in the log."""
    child = shell("echo ready; sleep 60", tmp_path)

    child.start()
    child.wait_ready(said(child, "ready"), timeout_s=10)

    assert child.running
    assert child.stop() == -signal.SIGTERM
    assert not child.running


def test_an_early_end_names_code_line_and_log(tmp_path: Path) -> None:
    """Whoever waits for a child that ends learns it at once, with what it said last."""
    child = shell("echo 'the disk is full' >&2; echo '---' >&2; exit 7", tmp_path)
    child.start()

    with pytest.raises(StartError) as caught:
        child.wait_ready(lambda: False, timeout_s=10)

    log = tmp_path / "sample.log"
    assert f"sample ended with exit code 7: the disk is full (log: {log})" == str(caught.value)


def test_a_late_child_is_named(tmp_path: Path) -> None:
    """A deadline that passes says so."""
    child = shell("echo warming up; sleep 60", tmp_path)
    child.start()

    with pytest.raises(StartError, match=r"sample was not ready after 0\.3 s"):
        child.wait_ready(lambda: False, timeout_s=0.3)

    child.kill()


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """The log of a program that is not there says which."""
    child = Child("sample", ["no-such-program"], log=tmp_path / "sample.log")
    child.start()

    with pytest.raises(StartError, match="no-such-program: No such file or directory"):
        child.wait_ready(lambda: False, timeout_s=10)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A stop ends within its time, whatever the child does."""
    child = shell(STUBBORN, tmp_path)
    child.start()
    child.wait_ready(said(child, "ready"), timeout_s=10)

    assert child.stop(timeout_s=0.3) == -signal.SIGKILL


def test_kill_takes_the_descendants(tmp_path: Path) -> None:
    """No grandchild outlives a killed child."""
    child = shell("sleep 60 & echo $!; wait", tmp_path)
    child.start()
    child.wait_ready(lambda: bool(child.last_lines(1)), timeout_s=10)
    grandchild = int(child.last_lines(1)[0])

    child.kill()

    wait_gone(grandchild)


def test_a_second_start_writes_on_in_the_log_and_reads_its_own_part(tmp_path: Path) -> None:
    """After a restart nobody takes an old line for a new one."""
    child = shell("echo $$", tmp_path)
    for _ in range(2):
        child.start()
        with pytest.raises(StartError):
            child.wait_ready(lambda: False, timeout_s=10)

    assert [str(child.pid)] == child.last_lines(10)
    assert len((tmp_path / "sample.log").read_text(encoding="utf-8").splitlines()) == 2


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The death signal is sent when a thread ends: it must not be the caller's."""
    child = shell("sleep 0.2; echo ready; sleep 60", tmp_path)

    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join(10)
    child.wait_ready(said(child, "ready"), timeout_s=10)

    assert child.running
    child.kill()


def test_it_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent leaves nothing behind, though nobody could clean up."""
    program = f"""
import time
from pathlib import Path
from activation_cli.local.process import Child
child = Child("sample", ["sleep", "60"], log=Path({str(tmp_path / "log")!r}))
child.start()
runs = Path(f"/proc/{{child.pid}}/comm")
child.wait_ready(lambda: runs.read_text() == "sleep\\n", timeout_s=10)  # it knows its parent now
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)

        parent.kill()

    wait_gone(child)


def test_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    """It is in a process group of its own: we decide when and in which order children end."""
    child = shell("sleep 60", tmp_path)
    child.start()

    group = os.getpgid(child.pid)

    assert child.pid == group != os.getpgid(0)
    child.kill()
