"""What the handler reads from its environment."""

import pytest

from activation.settings import read_settings
from activation_handler.settings import HandlerSettings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HANDLER_SECONDS", "ACTIVATION_HANDLER_SECONDS", "ACTIVATION_HANDLER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_an_activation_takes_a_minute_unless_told_otherwise() -> None:
    """As the real system does, on the port of the original."""
    settings = read_settings(HandlerSettings)

    assert settings.handler_seconds == 60.0
    assert settings.handler_port == 8080


@pytest.mark.parametrize("name", ["HANDLER_SECONDS", "ACTIVATION_HANDLER_SECONDS"])
def test_the_seconds_have_a_short_name_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """People type HANDLER_SECONDS; the prefix of all other settings works as well."""
    monkeypatch.setenv(name, "0.5")

    settings = read_settings(HandlerSettings)

    assert settings.handler_seconds == 0.5


@pytest.mark.parametrize("value", ["-1", "soon", "inf", "nan", ""])
def test_seconds_that_are_none_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """One line names the variable."""
    monkeypatch.setenv("HANDLER_SECONDS", value)

    with pytest.raises(SystemExit):
        read_settings(HandlerSettings)

    [line] = capsys.readouterr().err.splitlines()
    assert "HANDLER_SECONDS: " in line
