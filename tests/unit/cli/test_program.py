"""What holds for every command: troubles, secrets, help, version."""

from pathlib import Path

import httpx
import pytest

from activation_cli.exits import MEANINGS, Exit
from tests.support.cli import Command, document
from tests.support.cli_gateway import CliGateway

SECRET = "hunter2-canary"


def test_secret_is_never_printed(command: Command, tmp_path: Path) -> None:
    """Not by any command that knows it, whether all is well or not."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    (tmp_path / "batch.csv").write_text(f"id,password\nABC124,{SECRET}\nx,{SECRET}\n")

    results = [
        command("submit", "ABC123", "--param", f"password={SECRET}", "--wait"),
        command("submit", "ABC123", "--param", f"password=@{tmp_path / 'secret'}", "--json"),
        command("submit", "ABC123", "--param", "password=-", "--wait", "--json", stdin=SECRET),
        command("submit", "ABC123", "--param", f'nested={{"password": "{SECRET}"}}', "--wait"),
        command("submit", "ABC123", "--param", SECRET),
        command("submit", "ABC123", "--param", f"={SECRET}"),
        command("submit", "x", "--param", f"password={SECRET}"),
        command("submit", "ABC123", "--timeout", "0", "--param", f"password={SECRET}"),
        command("batch", str(tmp_path / "batch.csv"), "--no-wait"),
        command("list", "--json"),
    ]
    task_ids = [task["taskId"] for task in document(results[-1])["tasks"]]
    results += [command("show", task_id) for task_id in task_ids]

    assert len(task_ids) == 5
    assert "***" in results[-1].stdout
    for result in results:
        assert SECRET not in result.output
    assert SECRET not in (tmp_path / "batch.results.csv").read_text(encoding="utf-8")


def test_gateway_in_trouble_is_exit_4_with_advice(command: Command, gateway: CliGateway) -> None:
    """The line names the URL, and submit says how to repeat itself safely."""
    gateway.before = lambda _: httpx.Response(503, json={"title": "t", "detail": "no store"})

    status = command("status")
    submit = command("submit", "ABC123", "--key", "order-1")

    assert (status.exit_code, status.stdout) == (Exit.UNREACHABLE, "")
    assert status.stderr == "error: the gateway at http://localhost:8000 answers 503: no store\n"
    assert submit.stderr.splitlines()[-1] == "it is safe to ask again with --key order-1"


def test_url_comes_from_the_environment_and_an_option_overrules_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings by flags and variables."""
    monkeypatch.setenv("ACTIVATION_URL", "http://from-environment:1")

    by_variable = document(command("status", "--json"))
    by_option = document(command("--url", "http://from-option:2", "status", "--json"))

    assert by_variable["url"] == "http://from-environment:1"
    assert by_option["url"] == "http://from-option:2"


def test_help_lists_every_command_and_every_exit_code(command: Command) -> None:
    """A person finds all there is in one place."""
    result = command("--help")

    names = "submit watch status list show cancel batch dead-letters run version"
    for name in names.split():
        assert f"\n  {name} " in result.stdout
    for code, meaning in MEANINGS.items():
        assert f"{int(code)}" in result.stdout
        assert meaning in result.stdout


def test_version_needs_no_gateway(command: Command, gateway: CliGateway) -> None:
    """It is asked for when something is broken."""
    plain = command("version").stdout.strip()
    as_json = document(command("version", "--json"))

    assert as_json == {"version": plain}
    assert gateway.requests == []
