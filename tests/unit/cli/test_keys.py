"""`activation keys new`: a key is shown once, and its line is one that a gateway takes."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from activation_cli.exits import Exit
from activation_cli.main import app
from activation_gateway.api_keys import hash_of, read_keys
from activation_gateway.rate_limit import RateLimit
from activation_gateway.scopes import Scope


def test_line_is_for_the_file_and_the_key_for_the_person() -> None:
    """`>> keys.yaml` adds the line and leaves the key on the screen."""
    options = ["--scope", "submit", "--scope", "read", "--rate", "5", "--burst", "20"]
    result = CliRunner().invoke(app, ["keys", "new", "--id", "crm", "--expires", "90d", *options])

    [entry] = read_keys(result.stdout.encode())
    key = result.stderr.split()[-1]
    assert result.exit_code == Exit.DONE
    assert entry.sha256 == hash_of(key)
    assert entry.id == "crm"
    assert entry.scopes == {Scope.SUBMIT, Scope.READ}
    assert entry.limit == RateLimit(5.0, 20)
    assert entry.expires is not None
    assert key not in result.stdout


@pytest.mark.parametrize("options", [["keys", "new", "--json"], ["--json", "keys", "new"]])
def test_json_holds_both(options: list[str]) -> None:
    """For a script that puts the key into a vault."""
    result = CliRunner().invoke(app, [*options, "--id", "crm", "--scope", "operate"])

    made = json.loads(result.stdout)
    [entry] = read_keys(made["line"].encode())
    assert entry.sha256 == hash_of(made["key"])
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--id", "a b", "--scope", "read"], "id: String should match"),
        (["--id", "crm", "--scope", "all"], "should be 'submit', 'read' or 'operate'"),
        (["--id", "crm"], "--scope"),
        (["--id", "crm", "--scope", "read", "--burst", "2"], "burst needs ratePerSecond"),
        (["--id", "crm", "--scope", "read", "--expires", "2020-01-01T00:00:00Z"], "is over"),
    ],
)
def test_wrong_options_make_no_key(options: list[str], fault: str) -> None:
    """The gateway would refuse the line."""
    result = CliRunner().invoke(app, ["keys", "new", *options])

    assert result.exit_code == Exit.USAGE
    assert fault in result.stderr
    assert result.stdout == ""
    assert "act_" not in result.stderr


@pytest.mark.parametrize("by", ["option", "variable"])
def test_every_command_sends_the_key_and_never_shows_it(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the gateway repeats nothing but a refusal."""
    seen: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["X-API-Key"])
        challenge = {"WWW-Authenticate": 'Bearer realm="activation"'}
        return httpx.Response(401, json={"detail": "not known", "title": "-"}, headers=challenge)

    key = "canary7f3a"
    given = ["--api-key", key]
    if by == "variable":
        given = []
        monkeypatch.setenv("ACTIVATION_API_KEY", key)
    result = CliRunner().invoke(app, [*given, "status"], obj=httpx.MockTransport(refuse))

    assert seen == [key]
    assert result.exit_code == Exit.DENIED
    assert key not in result.output
