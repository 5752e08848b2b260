"""Parameters on the command line."""

import io
from pathlib import Path

import pytest

from activation_cli.exits import CommandError, Exit
from activation_cli.parameters import read_parameters, read_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100", 100),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ('"100"', "100"),
        ("example", "example"),
        ("0123", "0123"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("", ""),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_value_is_json_where_it_is_json_and_text_otherwise(text: str, expected: object) -> None:
    """Only what RFC 8259 calls JSON is read as JSON."""
    assert expected == read_value(text)


def test_value_keeps_every_equals_sign_but_the_first() -> None:
    """A base64 value is not cut."""
    assert read_parameters(["psk=YQ=="]) == {"psk": "YQ=="}


def test_value_comes_from_a_file(tmp_path: Path) -> None:
    """`@FILE` is the content, without the line's end that editors add."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n", encoding="utf-8")

    assert read_parameters([f"password=@{secret}"]) == {"password": "hunter2"}


def test_value_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads one line."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\nnext\n"))

    assert read_parameters(["password=-", "pin=-"]) == {"password": "hunter2", "pin": "next"}


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        (["hunter2"], "--param number 1: needs the form NAME=VALUE"),
        (["a=1", "=hunter2"], "--param number 2: needs the form NAME=VALUE"),
        (["a=1", "a=hunter2"], "--param number 2: gives 'a' again"),
        (["a=@/nowhere"], "--param number 1: cannot read '/nowhere' for 'a': No such file"),
        (["a=hunter2\udcff"], "--param number 1: the value of 'a' is not UTF-8"),
    ],
)
def test_fault_says_where_it_is_and_never_the_value(items: list[str], problem: str) -> None:
    """A value may be a password, so an error names only the place and the name."""
    with pytest.raises(CommandError) as caught:
        read_parameters(items)

    assert str(caught.value).startswith(problem)
    assert "hunter2" not in str(caught.value)
    assert caught.value.code == Exit.USAGE


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A binary file cannot be a parameter, and the error says so."""
    binary = tmp_path / "key.bin"
    binary.write_bytes(b"\xff\xfe")

    with pytest.raises(CommandError, match="it is not UTF-8 text"):
        read_parameters([f"key=@{binary}"])
