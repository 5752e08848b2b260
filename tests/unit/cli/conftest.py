"""Commands are given to the real gateway on a store in memory."""

import pytest
from typer.testing import CliRunner, Result

from activation.clock import SystemClock
from activation_cli.main import app
from tests.support.cli import Command
from tests.support.cli_gateway import CliGateway
from tests.support.tasks import failure, used_up


@pytest.fixture
def gateway() -> CliGateway:
    gateway = CliGateway(SystemClock())
    gateway.acts = {
        "FAILS1": failure,
        "DEAD01": used_up,
        "HANGS1": lambda _: None,
    }
    return gateway


@pytest.fixture
def command(gateway: CliGateway, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Give a command; it must end by itself, never by an unforeseen error."""
    monkeypatch.delenv("ACTIVATION_URL", raising=False)
    monkeypatch.delenv("ACTIVATION_CLI_TIMEOUT_S", raising=False)

    def give(*args: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(args), obj=gateway, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return give
