"""`activation batch`, against the real gateway on a store in memory."""

import os
import signal
from pathlib import Path
from uuid import UUID

import httpx

from activation_cli.exits import Exit
from tests.support.cli import Command, document, lines
from tests.support.cli_gateway import CliGateway

SECRET = "hunter2-canary"


def test_batch_writes_results_and_reports_bad_rows_by_line(
    command: Command, tmp_path: Path
) -> None:
    """Good rows are accepted whatever the bad ones are like."""
    file = tmp_path / "devices.csv"
    file.write_text("id,timeout,vlan\nABC123,60,1\nABC124,soon,2\nx,60,3\nABC126,901,4\nABC127,,\n")

    result = command("batch", str(file), "--no-wait")

    assert result.exit_code == Exit.USAGE
    assert "line 3: the timeout is no whole number of seconds" in result.stderr
    assert "line 4: 'x' is no serial number" in result.stderr
    assert "line 5: /timeoutInSeconds: " in result.stderr
    assert "2 accepted, 3 rejected; see" in result.stdout
    written = (tmp_path / "devices.results.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in written] == ["line", "2", "3", "4", "5", "6"]


def test_repeated_batch_makes_no_second_task(
    command: Command, gateway: CliGateway, tmp_path: Path
) -> None:
    """Neither with the result file nor without it."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\nABC124\n")

    for _ in range(2):
        command("batch", str(file), "--no-wait")
    (tmp_path / "devices.results.csv").unlink()
    command("batch", str(file), "--no-wait")

    tasks = document(command("list", "--json"))["tasks"]
    posts = [path for method, path in gateway.requests if method == "POST"]
    assert len(tasks) == 2
    assert len(posts) == 4


def test_edited_file_is_refused_before_it_makes_second_tasks(
    command: Command, tmp_path: Path
) -> None:
    """Its rows would get new keys; the error says what to do."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\n")
    command("batch", str(file), "--no-wait")
    file.write_text("id\nABC123\nABC124\n")

    result = command("batch", str(file), "--no-wait")

    assert result.exit_code == Exit.USAGE
    assert "tells of 1 rows" in result.stderr
    assert len(document(command("list", "--json"))["tasks"]) == 1


def test_file_with_keys_may_be_edited(command: Command, tmp_path: Path) -> None:
    """Rows are recognised by their key: the new one is sent, the old one is not."""
    file = tmp_path / "devices.csv"
    file.write_text("order,id\no-1,ABC123\n")
    command("batch", str(file), "--key-column", "order", "--no-wait")
    file.write_text("order,id\no-2,ABC124\no-1,ABC123\n")

    result = command("batch", str(file), "--key-column", "order", "--no-wait")

    assert result.exit_code == Exit.DONE
    assert len(document(command("list", "--json"))["tasks"]) == 2


def test_batch_as_json_is_a_line_for_each_outcome_and_a_summary(
    command: Command, tmp_path: Path
) -> None:
    """Nothing else is on stdout."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\nx\n")

    *outcomes, summary = lines(command("batch", str(file), "--no-wait", "--json"))

    assert {(line["line"], line["state"]) for line in outcomes} == {
        (2, "accepted"),
        (3, "rejected"),
    }
    assert all(UUID(line["taskId"]) for line in outcomes if line["state"] == "accepted")
    assert summary["summary"] == {"accepted": 1, "rejected": 1}


def test_interrupted_batch_says_how_to_go_on(
    command: Command, gateway: CliGateway, tmp_path: Path
) -> None:
    """Ctrl-C keeps what is done; the same command does the rest."""
    file = tmp_path / "devices.csv"
    file.write_text("id\n" + "".join(f"ABC12{n}\n" for n in range(9)))

    def interrupt(request: httpx.Request) -> None:
        if request.url.path.endswith("ABC125"):
            os.kill(os.getpid(), signal.SIGINT)

    gateway.before = interrupt
    interrupted = command("batch", str(file), "--no-wait", "--concurrency", "1")
    gateway.before = lambda _: None
    resumed = command("batch", str(file), "--no-wait")

    assert interrupted.exit_code == Exit.INTERRUPTED
    assert "accepted" in interrupted.stdout
    assert "unsent" in interrupted.stdout
    assert interrupted.stderr.splitlines()[-1].startswith("give the same command again")
    assert resumed.exit_code == Exit.DONE
    assert len(document(command("list", "--json"))["tasks"]) == 9
