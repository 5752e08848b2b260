"""What customers are promised, and how fast the promise may be broken before somebody is called.

Every number that says "good enough" stands here once; rules, alerts and dashboards use these.
Source: Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs".
"""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["page", "ticket"]

# The budget of failures is counted over this time.
PERIOD: Final = "30d"

# A POST is answered in time within this long: `le` of a bucket. A restart of the database is waited
# out for up to 4 s, which keeps the task but is late.
ANSWER_LIMIT_S: Final = 1.0
# A task ends in time within this long: `le` of a bucket. The handler takes about 60 s, so this
# leaves room for a queue, and for one attempt more.
END_LIMIT_S: Final = 180.0

# Fewer failures than this within the longer window wake nobody: at night one of three is a third.
FEWEST_BAD_EVENTS: Final = 10


@dataclass(frozen=True)
class Objective:
    """A share of events that must be good.

    Attributes:
        name: The label `objective` of its series.
        target: The share over `PERIOD`.
        events: The counter of all events that count.
        good: The counter of those that were good.
    """

    name: str
    target: float
    events: str
    good: str

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.target, 6)


_POST: Final = 'method="POST", route="/api/v1/equipment/cpe/{id}"'

# A POST is good when it got its answer in time. A mistake of the client (4xx) is answered well; 429
# is our own refusal: the backlog is full.
ANSWERED: Final = Objective(
    name="answered",
    target=0.999,
    events=f"activation_http_request_duration_seconds_count{{{_POST}}}",
    good=(
        "activation_http_request_duration_seconds_bucket"
        f'{{{_POST}, status!~"429|5..", le="{ANSWER_LIMIT_S}"}}'
    ),
)

# A task is good when it succeeded in time, and bad when it came late or became a dead letter. The
# handler's final no and a cancelled task count for neither: the one is somebody else's decision
# (`ActivationTasksRefused` watches it), the other the customer's own.
FINISHED: Final = Objective(
    name="finished",
    target=0.99,
    events='activation_task_duration_seconds_count{outcome=~"succeeded|dead_lettered"}',
    good=f'activation_task_duration_seconds_bucket{{outcome="succeeded", le="{END_LIMIT_S}"}}',
)

OBJECTIVES: Final = (ANSWERED, FINISHED)


@dataclass(frozen=True)
class Burn:
    """An alert on how fast the budget burns.

    Attributes:
        severity: Whether somebody is woken, or finds it in the morning.
        window: Long enough to be sure.
        short_window: Short enough to end soon after the fault has.
        factor: How many times as fast as would just use up the budget in `PERIOD`.
    """

    severity: Severity
    window: str
    short_window: str
    factor: float


# 2 % of the budget in an hour, 5 % in six hours; 10 % in one day or in three.
BURNS: Final = (
    Burn("page", "1h", "5m", 14.4),
    Burn("page", "6h", "30m", 6),
    Burn("ticket", "1d", "2h", 3),
    Burn("ticket", "3d", "6h", 1),
)
