"""The command `activation` as a process of its own, against the real gateway over HTTP."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from activation.clock import SystemClock
from activation_cli.exits import Exit
from tests.support.cli_gateway import CliGateway, served

PROGRAM = Path(sys.executable).with_name("activation")
LIMIT_S = 30.0
ESCAPE = "\x1b"
ROWS = 60


@pytest.fixture
def gateway() -> CliGateway:
    gateway = CliGateway(SystemClock())
    gateway.acts["HANGS1"] = lambda _: None
    return gateway


@pytest.fixture
def url(gateway: CliGateway) -> Iterator[str]:
    with served(gateway) as url:
        yield url


def environment(url: str, **more: str) -> dict[str, str]:
    """Make the environment of a user who has only said where the gateway is."""
    unset = {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "ACTIVATION_URL": url, "NO_PROXY": "127.0.0.1", "TERM": "xterm", **more}


def run(url: str, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [PROGRAM, *args],
        env=environment(url, **more),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def run_on_terminal(url: str, *args: str, **more: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; gives its exit code and all it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *args],
        env=environment(url, **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = b"".join(_chunks(ours))
        code = process.wait(LIMIT_S)
    os.close(ours)
    return code, written.decode()


def _chunks(terminal: int) -> Iterator[bytes]:
    """Read until the other side is closed, which Linux reports as an error."""
    try:
        while chunk := os.read(terminal, 65_536):
            yield chunk
    except OSError:
        return


@contextmanager
def started(url: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command; whatever happens, it does not stay."""
    with subprocess.Popen(
        [PROGRAM, *args],
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # each is a pipe
    return stream


def wait_until(condition: Callable[[], Any]) -> None:
    """Return when a condition holds; fail if it does not in time."""
    give_up = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


def test_help_needs_none_of_what_is_slow_to_import() -> None:
    """`--help` and completion stay quick: no httpx, no Rich, nothing of the services."""
    program = "import sys, activation_cli.main; print(*{n.split('.')[0] for n in sys.modules})"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )

    slow = {"httpx", "rich", "pydantic", "sqlalchemy", "fastapi", "aio_pika", "uvicorn", "aiohttp"}
    ours = {"activation_gateway", "activation_worker", "activation_handler"}
    assert set(done.stdout.split()) & (slow | ours) == set()


def test_result_of_an_activation_is_the_exit_code(url: str) -> None:
    """One command from the request to the result, by variables alone."""
    done = run(url, "submit", "ABC123", "--wait", "--json")

    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "succeeded"


def test_pipe_gets_plain_text(url: str) -> None:
    """No colours and no cursor movements where nobody looks."""
    done = run(url, "submit", "ABC123", "--wait")

    assert ESCAPE not in done.stdout + done.stderr
    told = ["accepted", "accepted", "started", "succeeded", "succeeded"]
    assert all(word in line for word, line in zip(told, done.stdout.splitlines(), strict=True))


def test_terminal_gets_colours_unless_it_wants_none(url: str) -> None:
    """NO_COLOR is respected (https://no-color.org)."""
    green = f"{ESCAPE}[32m"

    coloured = run_on_terminal(url, "submit", "ABC123", "--wait")
    plain = run_on_terminal(url, "submit", "ABC123", "--wait", NO_COLOR="1")

    assert (coloured[0], plain[0]) == (Exit.DONE, Exit.DONE)
    assert green in coloured[1]
    assert green not in plain[1]


def test_narrow_terminal_gets_whole_ids_and_one_line_a_task(url: str) -> None:
    """What gives way on 80 columns is the reason, never the id."""
    task_ids = [
        json.loads(run(url, "submit", "HANGS1", "--json").stdout)["taskId"] for _ in range(2)
    ]

    _, written = run_on_terminal(url, "list", COLUMNS="80", NO_COLOR="1")

    header, *tasks = written.splitlines()
    assert "why" in header
    assert [line.split()[0] for line in tasks] == list(reversed(task_ids))


def test_dumb_terminal_gets_lines(url: str) -> None:
    """Without cursor movements the events come one after the other."""
    code, written = run_on_terminal(url, "submit", "ABC123", "--wait", TERM="dumb")

    assert code == Exit.DONE
    assert ESCAPE not in written
    assert "started" in written


def test_json_stays_json_on_a_terminal(url: str) -> None:
    """No spinner and no advice between the lines."""
    code, written = run_on_terminal(url, "submit", "ABC123", "--wait", "--json")

    assert code == Exit.DONE
    assert json.loads(written.splitlines()[-1])["state"] == "succeeded"


def test_nobody_there_is_one_line_and_exit_4(free_port: int) -> None:
    """It names the URL and what to do."""
    done = run(f"http://127.0.0.1:{free_port}", "status")

    assert (done.returncode, done.stdout) == (Exit.UNREACHABLE, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: cannot reach the gateway at http://127.0.0.1:{free_port} (")
    assert "Connection refused" in line
    assert "activation run" in line


def test_ctrl_c_ends_a_watch_at_once(url: str, gateway: CliGateway) -> None:
    """130, the way to go on, and a task that goes on by itself."""
    with started(url, "submit", "HANGS1", "--wait") as process:
        wait_until(lambda: _stream(process.stdout).readline().endswith("worker-a\n"))
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        code = process.wait(LIMIT_S)
        said = _stream(process.stderr).read()

    assert code == Exit.INTERRUPTED
    assert time.monotonic() - begun < 3.0
    assert "follow it with `activation watch " in said


def test_watch_survives_a_restart_of_the_gateway(gateway: CliGateway, free_port: int) -> None:
    """A deployment in the middle of a watch is told and borne, and the end is seen."""
    with ExitStack() as stack:
        with served(gateway, free_port) as url:
            run(url, "submit", "HANGS1")
            waiting = json.loads(run(url, "submit", "HANGS1", "--json").stdout)["taskId"]
            process = stack.enter_context(started(url, "watch", waiting, "--json"))
            told, said = _stream(process.stderr), _stream(process.stdout)
            assert "accepted" in said.readline()
        assert "trying again" in told.readline()
        stack.enter_context(served(gateway, free_port))
        assert "answers again" in told.readline()

        run(url, "cancel", waiting)

        assert process.wait(LIMIT_S) == Exit.FAILED
        assert json.loads(said.readlines()[-1])["state"] == "cancelled"


def test_killed_batch_is_finished_by_the_same_command(
    url: str, gateway: CliGateway, tmp_path: Path
) -> None:
    """SIGKILL in the middle: afterwards one task for each row, and all rows have ended."""
    file, results = tmp_path / "devices.csv", tmp_path / "devices.results.csv"
    file.write_text("id\n" + "".join(f"DEVICE{n:03}\n" for n in range(ROWS)), encoding="utf-8")

    with started(url, "batch", str(file)) as process:
        wait_until(lambda: results.exists() and results.read_text().count("accepted") > ROWS / 4)
        process.kill()
        process.wait(LIMIT_S)
    done = run(url, "batch", str(file))

    assert (done.returncode, done.stdout) == (Exit.DONE, f"{ROWS} succeeded; see {results}\n")
    listed = json.loads(run(url, "list", "--all", "--json").stdout)["tasks"]
    assert sorted(task["equipment"] for task in listed) == [f"DEVICE{n:03}" for n in range(ROWS)]


def test_reader_that_leaves_is_no_error_message(url: str) -> None:
    """`activation list | head` ends quietly."""
    with started(url, "list", "--json") as process:
        _stream(process.stdout).close()
        process.wait(LIMIT_S)
        said = _stream(process.stderr).read()

    assert said == ""
