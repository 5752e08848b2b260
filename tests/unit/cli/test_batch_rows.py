"""Reading the CSV file of a batch."""

from pathlib import Path

import pytest

from activation_cli.batch.outcomes import REJECTED, Outcome
from activation_cli.batch.rows import Row, read_rows
from activation_cli.exits import CommandError, Exit


def written(folder: Path, content: str | bytes) -> Path:
    """Write the file of a batch."""
    path = folder / "batch.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def good(row: Row | Outcome) -> Row:
    """Demand that a row can be sent."""
    assert isinstance(row, Row), row
    return row


def test_columns_become_a_request(tmp_path: Path) -> None:
    """Besides id and timeout every column is a parameter; an empty cell is none."""
    path = written(tmp_path, "id,timeout,vlan,name\nABC123,30,100,a b\nDEF456,,,\n")

    first, second = map(good, read_rows(path, None))

    assert (
        first.equipment,
        first.timeout_s,
        first.parameters,
    ) == ("ABC123", 30, {"vlan": 100, "name": "a b"})
    assert (second.equipment, second.timeout_s, second.parameters) == ("DEF456", None, {})


def test_spreadsheet_export_is_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF, quotes, blank lines and a cell of two lines are all fine."""
    content = b'\xef\xbb\xbfid,config\r\n\r\nABC123,"line 1\r\nline ""2"""\r\nDEF456,x\r\n'

    first, second = map(good, read_rows(written(tmp_path, content), None))

    assert (first.line, first.parameters) == (3, {"config": 'line 1\r\nline "2"'})
    assert (second.line, second.equipment) == (5, "DEF456")


def test_same_content_gives_the_same_keys_and_other_content_others(tmp_path: Path) -> None:
    """The key is what keeps a repeated batch from making second tasks."""
    one = [row.key for row in read_rows(written(tmp_path, "id\nABC123\nABC123\n"), None)]
    again = [row.key for row in read_rows(written(tmp_path, "id\nABC123\nABC123\n"), None)]
    other = [row.key for row in read_rows(written(tmp_path, "id\nABC123\nABC124\n"), None)]

    assert one == again
    assert len({*one, *other}) == 4


def test_key_column_gives_the_key_and_is_no_parameter(tmp_path: Path) -> None:
    """With keys of its own a file can be edited and given again."""
    [row] = read_rows(written(tmp_path, "order,id\no-1,ABC123\n"), "order")

    assert row.key == "o-1"
    assert good(row).parameters == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ABC123,60", "2 cells where the first line names 3 columns"),
        ("ABC123,60,k-2,surplus", "4 cells where the first line names 3 columns"),
        (",60,k-2", "the id is empty"),
        ("ABC123,soon,k-2", "the timeout is no whole number of seconds"),
        ("ABC123,1.5,k-2", "the timeout is no whole number of seconds"),
        ("ABC123,60,", "the key is empty"),
        ("ABC123,60,k-1", "the key is that of line 2"),
    ],
)
def test_bad_row_is_reported_with_its_line_and_the_others_are_kept(
    tmp_path: Path, line: str, problem: str
) -> None:
    """One bad row of three is an outcome, the other two can be sent."""
    path = written(tmp_path, f"id,timeout,key\nABC123,60,k-1\n{line}\nABC123,60,k-3\n")

    first, bad, last = read_rows(path, "key")

    assert isinstance(bad, Outcome)
    assert (3, REJECTED, problem) == (bad.line, bad.state, bad.detail)
    assert [good(first).key, good(last).key] == ["k-1", "k-3"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "line 1: no column 'id'"),
        ("serial;vlan\nABC123;1\n", "line 1: no column 'id'"),
        ("id,vlan,vlan\n", "line 1: each column needs a name of its own"),
        ("id,\n", "line 1: each column needs a name of its own"),
        (b"id\nABC\xff\n", "byte 7 is not UTF-8"),
        ('id,name\nABC123,"open\n', "line 2: unexpected end of data"),
    ],
)
def test_file_that_cannot_be_used_says_where(
    tmp_path: Path, content: str | bytes, problem: str
) -> None:
    """Nothing is sent of a file that is not understood as a whole."""
    with pytest.raises(CommandError, match=problem) as caught:
        read_rows(written(tmp_path, content), None)

    assert caught.value.code == Exit.USAGE


def test_missing_file_and_missing_key_column_are_named(tmp_path: Path) -> None:
    """The error says which file, and which column."""
    with pytest.raises(CommandError, match=r"cannot read .*nowhere.csv: No such file"):
        read_rows(tmp_path / "nowhere.csv", None)
    with pytest.raises(CommandError, match="no column 'order', which --key-column names"):
        read_rows(written(tmp_path, "id\n"), "order")
