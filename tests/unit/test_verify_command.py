"""The command line of `verify`: what it refuses, and what it lists."""

import pytest
from typer.testing import CliRunner, Result

from activation_cli.exits import Exit
from activation_cli.main import app
from activation_cli.verify.scenarios import IN_CLUSTER, SCENARIOS

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def verify(*args: str) -> Result:
    result = CliRunner().invoke(app, ["verify", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_list_names_every_scenario_with_its_invariant() -> None:
    """And nothing is started."""
    result = verify("--list")

    assert result.exit_code == Exit.DONE
    for scenario in (*SCENARIOS.values(), *IN_CLUSTER.values()):
        [line] = [one for one in result.stdout.splitlines() if one.split()[:1] == [scenario.name]]
        assert scenario.holds in line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "--local or --url"),
        (["--all"], "--local or --url"),
        (["--local", "--url", NOBODY], "--local or --url"),
        (["--local"], "--scenario NAME"),
        (["--local", "--all", "--scenario", "calm"], "--scenario NAME"),
        (["--local", "--scenario", "no-such"], "no-such"),
        (["--local", "--scenario", "calm", "--ledger", NOBODY], "--ledger"),
        (["--url", NOBODY, "--scenario", "worker-killed"], "--local"),
        (["--url", NOBODY, "--postgres"], "--local"),
        (["--url", NOBODY, "--jobs", "2"], "--local"),
        (["--local", "--all", "--jobs", "9999"], "--jobs 9999"),
        (["--kubernetes"], "--scenario NAME"),
        (["--kubernetes", "--all", "--jobs", "2"], "--jobs"),
        (["--kubernetes", "--local", "--all"], "--local"),
        (["--kubernetes", "--scenario", "worker-killed"], "worker-killed"),
        (["--local", "--all", "--yes"], "--kubernetes"),
        (["--local", "--all", "--namespace", "here"], "--kubernetes"),
    ],
)
def test_contradictions_are_refused_before_anything_starts(args: list[str], says: str) -> None:
    """With one line that says what to do."""
    result = verify(*args)

    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_installation_out_of_reach_is_no_violation() -> None:
    """Exit code 1 is for what was found, and here nothing was looked at."""
    result = verify("--url", NOBODY)

    assert result.exit_code == Exit.UNREACHABLE
    assert "cannot reach the gateway" in result.stderr
