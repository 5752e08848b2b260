"""The result file of a batch."""

from pathlib import Path

import pytest

from activation_cli.batch.outcomes import ACCEPTED, REJECTED, Outcome, ResultFile
from activation_cli.exits import CommandError, Exit

TASK = "0197c1a0-0000-7000-8000-000000000001"


def outcome(line: int, state: str, *, detail: str = "") -> Outcome:
    """Make the outcome of a row."""
    task_id = "" if state == REJECTED else TASK
    return Outcome(line, f"DEVICE{line}", f"key-{line}", task_id, state, detail=detail)


def test_last_outcome_of_each_row_stays_in_the_order_of_rows(tmp_path: Path) -> None:
    """People open the file in a spreadsheet: one line a row, with names on top."""
    path = tmp_path / "results.csv"

    with ResultFile(path) as results:
        for known in (
            outcome(3, ACCEPTED),
            outcome(2, ACCEPTED),
            outcome(3, "failed", detail="a,b"),
        ):
            results.record(known)

    assert [
        "line,id,key,taskId,state,reason,detail",
        f"2,DEVICE2,key-2,{TASK},accepted,,",
        f'3,DEVICE3,key-3,{TASK},failed,,"a,b"',
    ] == path.read_text(encoding="utf-8").splitlines()


def test_outcomes_are_on_disk_before_the_batch_ends(tmp_path: Path) -> None:
    """A kill in the middle loses no task id."""
    path = tmp_path / "results.csv"

    with ResultFile(path) as results:
        results.record(outcome(2, ACCEPTED))
        read_by_another = ResultFile(path).known("key-2")

    assert outcome(2, ACCEPTED) == read_by_another


@pytest.mark.parametrize("torn", ["3,DEVICE3", '3,DEVICE3,key-3,"0197', "3,DEVICE3,key-3,0197c1a0"])
def test_line_cut_short_by_a_kill_is_forgotten_and_the_next_one_is_whole(
    tmp_path: Path, torn: str
) -> None:
    """Its row is asked for again, with the same key; the next one starts anew."""
    path = tmp_path / "results.csv"
    with ResultFile(path) as results:
        results.record(outcome(2, "succeeded"))
    with path.open("a", encoding="utf-8") as stream:
        stream.write(torn)

    with ResultFile(path) as results:
        known = results.known("key-3")
        results.record(outcome(4, ACCEPTED))

    assert known is None
    assert {"key-2", "key-4"} == set(ResultFile(path).keys())


def test_rejected_rows_have_no_task(tmp_path: Path) -> None:
    """They may be corrected: only rows with a task bind the file."""
    path = tmp_path / "results.csv"

    with ResultFile(path) as results:
        results.record(outcome(2, REJECTED))

        assert list(results.keys()) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("id,vlan\nABC123,1\n", "is no result file; name another one with --results"),
        ("line,id,key,taskId,state,reason,detail\n2,A,k,oops,accepted,,\n", "UUID"),
        ("line,id,key,taskId,state,reason,detail\nx,A,k,,rejected,,\n", "cannot use"),
    ],
)
def test_other_file_is_never_overwritten(tmp_path: Path, content: str, problem: str) -> None:
    """What is there and is no result file stays as it is."""
    path = tmp_path / "results.csv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(CommandError, match=problem) as caught:
        ResultFile(path)

    assert caught.value.code == Exit.USAGE
    assert content == path.read_text(encoding="utf-8")


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which file cannot be written, and why."""
    results = ResultFile(tmp_path / "nowhere" / "results.csv")

    with pytest.raises(CommandError, match=r"cannot use the result file .*: No such file"):
        results.__enter__()
