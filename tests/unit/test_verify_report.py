"""The report: one document, and a page and a text that are made from it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from activation_cli.verify.accountant import REQUEST, Account, Finding, Post, Row, Verdict
from activation_cli.verify.latency import Span
from activation_cli.verify.page import page
from activation_cli.verify.report import Result, document, write
from activation_cli.verify.scenarios import SCENARIOS
from activation_cli.verify.screen import text_report

RUN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
BEGUN_AT: Final = 1000.0
HOSTILE: Final = "<script>alert(1)</script>"


def post(n: int, status: int | None = 200) -> Post:
    sent_at = BEGUN_AT + n
    task_id = f"task-{n}" if status == 200 else None
    return Post(f"DEVICE{n}", f"key-{n}", sent_at, sent_at + 0.25, status, task_id)


def task(n: int) -> Row:
    return {
        "taskId": f"task-{n}",
        "equipment": f"DEVICE{n}",
        "state": "succeeded",
        "attempt": 1,
        "acceptedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:02.5Z",
        "parameters": {REQUEST: f"key-{n}"},
    }


PASSED: Final = Result(
    SCENARIOS["worker-killed"],
    seed=7,
    account=Account([post(n) for n in range(8)], [task(n) for n in range(8)], None),
    findings=(),
    spans=[Span("a worker is killed", 2.5, 5.5)],
    begun_at=BEGUN_AT,
    took_s=12.0,
)
FAILED: Final = replace(
    PASSED,
    account=replace(PASSED.account, posts=[*PASSED.account.posts, post(8)]),
    findings=[Finding(Verdict.LOST, "unknown to the store", HOSTILE)],
    unchecked=["what the handler saw"],
    logs=Path("/logs"),
)


def test_the_document_says_what_became_of_every_request() -> None:
    """Counts, latencies by phase, faults and requests, all in seconds; it is JSON."""
    report = json.loads(json.dumps(document([PASSED], RUN_AT)))

    [scenario] = report["scenarios"]
    assert report["passed"] is True
    assert scenario["counts"]["ok"] == 8
    assert scenario["counts"]["lost"] == 0
    assert scenario["faults"] == [
        {"name": "a worker is killed", "beginSeconds": 2.5, "endSeconds": 5.5}
    ]
    assert [phase["name"] for phase in scenario["latency"]] == ["before", "during", "after"]
    assert [phase["answerSeconds"]["count"] for phase in scenario["latency"]] == [3, 3, 2]
    assert scenario["latency"][0]["taskSeconds"]["p99"] == 2.5
    assert scenario["requests"][0] == {
        "key": "key-0",
        "equipment": "DEVICE0",
        "atSeconds": 0.0,
        "answerSeconds": 0.25,
        "endSeconds": 2.5,
        "attempts": 1,
        "verdict": "ok",
    }


def test_a_violation_fails_the_report() -> None:
    """It is counted, described, and the seed and the logs are there to look further."""
    report = document([PASSED, FAILED], RUN_AT)

    failed = report["scenarios"][1]
    assert report["passed"] is False
    assert (failed["passed"], failed["counts"]["lost"], failed["seed"]) == (False, 1, 7)
    assert failed["findings"][0]["verdict"] == "lost"
    assert failed["logs"] == "/logs"


def test_the_answer_to_a_repeated_request_counts_from_its_first_post() -> None:
    """A client that had to ask twice waited for both."""
    first = replace(post(0, status=None), answered_at=BEGUN_AT + 1.0)
    again = replace(post(0), sent_at=BEGUN_AT + 1.5, answered_at=BEGUN_AT + 2.0)
    result = replace(PASSED, account=Account([first, again], [task(0)], None))

    [sample] = result.samples()

    assert (sample.at_s, sample.answer_s) == (0.0, 2.0)


class Elements(HTMLParser):
    """Collects the elements of a page, and checks that they are closed."""

    void = frozenset({"meta", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self._open.pop() == tag

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and attributes.items() <= values.items() for name, values in self.found
        )

    def close(self) -> None:
        super().close()
        assert not self._open


def parsed(html: str) -> Elements:
    elements = Elements()
    elements.feed(html)
    elements.close()
    return elements


def test_the_page_draws_every_request_and_every_fault() -> None:
    """A dot for each request and a band for each fault, within the plot."""
    elements = parsed(page(document([PASSED, FAILED], RUN_AT)))

    assert elements.count("svg") == 2
    assert elements.count("circle") == 8 + 9
    assert elements.count("circle", **{"class": "ok"}) == 16
    assert elements.count("rect", **{"class": "fault"}) == 2
    for tag, values in elements.found:
        if tag == "circle":
            assert 0 <= float(values["cx"]) <= 900
            assert 0 <= float(values["cy"]) <= 220


def test_the_page_needs_nothing_from_outside() -> None:
    """It can be sent by mail and opened without the internet; it runs no script."""
    html = page(document([FAILED], RUN_AT))
    elements = parsed(html)

    assert "http" not in html
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in elements.found}
    assert not any({"src", "onload"} & values.keys() for _, values in elements.found)


def test_the_page_shows_hostile_texts_as_texts() -> None:
    """A row of the ledger may hold anything."""
    html = page(document([FAILED], RUN_AT))

    assert HOSTILE not in html
    assert "&lt;script&gt;" in html


def test_the_text_names_violations_and_how_to_repeat_them() -> None:
    """And what nobody has looked at."""
    text = text_report([PASSED, FAILED])

    assert "worker-killed" in text
    assert "lost: unknown to the store" in text
    assert "--scenario worker-killed --seed 7" in text
    assert "not checked: what the handler saw" in text


def test_the_report_is_written_in_three_forms(tmp_path: Path) -> None:
    """The folder is made if it is not there."""
    report = document([PASSED], RUN_AT)

    write(report, text_report([PASSED]), page(report), tmp_path / "new")

    assert json.loads((tmp_path / "new" / "report.json").read_text()) == report
    assert (tmp_path / "new" / "report.html").read_text().startswith("<!doctype html>")
    assert "worker-killed" in (tmp_path / "new" / "report.txt").read_text()
