"""Logs: one line an event, with its fields, and never with a secret."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from activation.telemetry.logging import configure_logging, get_logger

CANARY = "c4n4ry-s3cret"


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Leave the process' logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in ("aiormq", "aio_pika")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in noisy.items():
        logging.getLogger(name).setLevel(before)


class Output:
    """What a process logs; `configure_logging` takes the standard output of the moment."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def configure(self, **settings: Any) -> None:
        usual = {"style": "json", "secret_words": ["password", "key"]}
        configure_logging("worker", **(usual | settings))

    def text(self) -> str:
        return self._capsys.readouterr().out

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """The standard output of the test."""
    return Output(capsys)


def test_event_is_a_line_of_json(output: Output) -> None:
    """Name, level, time and service stand beside the fields."""
    output.configure()
    get_logger().info("task_ended", task_id="42", after_s=1.5)

    [line] = output.lines()
    assert (line["event"], line["level"], line["service"]) == ("task_ended", "info", "worker")
    assert (line["task_id"], line["after_s"]) == ("42", 1.5)
    assert str(line["timestamp"]).endswith("Z")


def test_bound_fields_are_on_each_line(output: Output) -> None:
    """Ids are bound once, at the edge."""
    output.configure()
    bound = get_logger().bind(task_id="42")
    bound.info("attempt_started")
    bound.info("task_ended")

    assert [line["task_id"] for line in output.lines()] == ["42", "42"]


def test_fields_with_secret_names_are_masked(output: Output) -> None:
    """A net under the types, at any depth."""
    output.configure()
    get_logger().info(
        "careless", wifi_password=CANARY, parameters={"vlan": 7, "inner": [{"password": CANARY}]}
    )

    [line] = output.lines()
    assert CANARY not in json.dumps(line)
    assert line["parameters"] == {"vlan": 7, "inner": [{"password": "***"}]}


def test_own_fields_are_not_masked(output: Output) -> None:
    """An idempotency key is no secret: it must be found again."""
    output.configure()
    get_logger().info("accepted", idempotency_key="order-7")

    assert output.lines()[0]["idempotency_key"] == "order-7"


def _fail_beside(secret: str) -> None:
    parameters = {"password": secret}
    raise ValueError(f"{len(parameters)} parameters")


@pytest.mark.parametrize("style", ["json", "console"])
def test_traceback_shows_no_locals(output: Output, style: str) -> None:
    """The frames of an error are named, and the values in them are not."""
    output.configure(style=style)
    try:
        _fail_beside(CANARY)
    except ValueError:
        get_logger().exception("delivery_failed")

    printed = output.text()
    assert "1 parameters" in printed
    assert "_fail_beside" in printed
    assert CANARY not in printed


def test_libraries_log_in_the_same_form(output: Output) -> None:
    """Warnings of other packages are lines like ours, without their locals too."""
    output.configure()
    try:
        _fail_beside(CANARY)
    except ValueError:
        logging.getLogger("uvicorn.error").warning("went %s", "wrong", exc_info=True)
    logging.getLogger("uvicorn.error").info("chatter")

    [line] = output.lines()
    assert (line["event"], line["level"], line["service"]) == ("went wrong", "warning", "worker")
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("value", [2**70, "\ud800", {1: "x"}, {"a", "b"}, object(), b"\xff"])
def test_any_value_can_be_logged(output: Output, value: object) -> None:
    """A line that cannot be written must not end the task that it is about."""
    output.configure()
    get_logger().info("odd", value=value)

    assert output.lines()[0]["event"] == "odd"


def test_level_hides_what_is_less_important(output: Output) -> None:
    """At warning the milestones of tasks are silent."""
    output.configure(level="warning")
    get_logger().info("task_ended")
    get_logger().warning("lease_lost")

    assert [line["event"] for line in output.lines()] == ["lease_lost"]


def test_output_that_is_no_terminal_gets_json(output: Output) -> None:
    """In a pod nobody sets the style."""
    output.configure(style="auto")
    get_logger().info("started")

    assert output.lines()[0]["event"] == "started"
