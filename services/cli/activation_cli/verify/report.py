"""The report: what came out of a scenario, as a document that all its forms are made from."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from activation.errors import ActivationError
from activation_cli.documents import moment
from activation_cli.exits import CommandError
from activation_cli.verify.accountant import VIOLATIONS, Account, Finding, Row, Verdict
from activation_cli.verify.latency import Phase, Sample, Span, phases
from activation_cli.verify.scenarios import Scenario

_MOST_FINDINGS: Final = 50  # in the report; all are counted


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a scenario.

    Attributes:
        seed: Repeats it.
        account: What was asked for, what the store says, what the handler saw.
        findings: All violations; none is a pass.
        spans: The faults as they came.
        begun_at: When the load began, on the clock of the account's POSTs.
        took_s: The whole of it, starting and stopping included.
        unchecked: What could not be checked, in words.
        logs: Where the logs of its processes are.
    """

    scenario: Scenario
    seed: int
    account: Account
    findings: Sequence[Finding]
    spans: Sequence[Span]
    begun_at: float
    took_s: float
    unchecked: Sequence[str] = ()
    logs: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def counts(self) -> dict[Verdict, int]:
        """Count the requests by verdict, and the findings that are about no request."""
        requests = Counter(self.account.verdicts().values())
        found = Counter(finding.verdict for finding in self.findings)
        return {
            verdict: max(requests[verdict], found[verdict] if verdict in VIOLATIONS else 0)
            for verdict in Verdict
        }

    def samples(self) -> list[Sample]:
        """Return what each request took, in the order sent."""
        answered_at = {
            post.key: post.answered_at for post in reversed(self.account.posts) if post.accepted
        }
        tasks = {self.account.request_of(task): task for task in self.account.tasks}
        return [
            Sample(
                first.sent_at - self.begun_at,
                answered_at[first.key] - first.sent_at if first.key in answered_at else None,
                _end_s(tasks.get(first.key)),
            )
            for first in self.account.first_posts()
        ]

    def phases(self) -> list[Phase]:
        """Return the latency before, during and after each fault."""
        return phases(self.samples(), self.spans)


def broken_off(
    scenario: Scenario, seed: int, error: Exception, *, logs: Path | None = None
) -> Result:
    """Return the result of a scenario that could not be carried out to its end."""
    told = isinstance(error, (ActivationError, CommandError))  # in words for a person
    said = "not in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
    found = Finding(Verdict.UNMET, "the scenario was broken off", str(error) if told else said)
    return Result(scenario, seed, Account([], [], None), [found], [], 0.0, 0.0, logs=logs)


def document(results: Sequence[Result], run_at: datetime) -> dict[str, Any]:
    """Return the report as JSON has it: times in seconds, names as in the text."""
    return {
        "runAt": run_at.isoformat(timespec="seconds"),
        "passed": all(result.passed for result in results),
        "scenarios": [_scenario(result) for result in results],
    }


def write(report: dict[str, Any], text: str, page: str, folder: Path) -> None:
    """Write the report in its three forms.

    Raises:
        OSError: The folder cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (folder / "report.txt").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(page, encoding="utf-8")


def _scenario(result: Result) -> dict[str, Any]:
    verdicts = result.account.verdicts()
    attempts = {result.account.request_of(task): task["attempt"] for task in result.account.tasks}
    return {
        "name": result.scenario.name,
        "does": result.scenario.does,
        "holds": result.scenario.holds,
        "seed": result.seed,
        "passed": result.passed,
        "tookSeconds": round(result.took_s, 3),
        "counts": {verdict.value: count for verdict, count in result.counts().items()},
        "posts": len(result.account.posts),
        "tasks": len(result.account.tasks),
        "calls": None if result.account.calls is None else len(result.account.calls),
        "findings": [_finding(finding) for finding in result.findings[:_MOST_FINDINGS]],
        "findingsInAll": len(result.findings),
        "unchecked": list(result.unchecked),
        "logs": None if result.logs is None or result.passed else str(result.logs),
        "faults": [
            {"name": span.name, "beginSeconds": span.begin_s, "endSeconds": span.end_s}
            for span in result.spans
        ],
        "latency": [_phase(phase) for phase in result.phases()],
        "requests": [
            {
                "key": post.key,
                "equipment": post.equipment,
                "atSeconds": sample.at_s,
                "answerSeconds": sample.answer_s,
                "endSeconds": sample.end_s,
                "attempts": attempts.get(post.key, 0),
                "verdict": verdicts[str(post.key)].value,
            }
            for post, sample in zip(result.account.first_posts(), result.samples(), strict=True)
        ],
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "fault": phase.fault,
        "beginSeconds": phase.begin_s,
        "endSeconds": phase.end_s,
        "answerSeconds": None if phase.answer is None else asdict(phase.answer),
        "taskSeconds": None if phase.end is None else asdict(phase.end),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"verdict": finding.verdict.value, "what": finding.what, "row": repr(finding.row)}


def _end_s(task: Row | None) -> float | None:
    if task is None:
        return None
    accepted, finished = moment(task["acceptedAt"]), moment(task["finishedAt"])
    return (finished - accepted).total_seconds() if accepted and finished else None
