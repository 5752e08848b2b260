"""Each safeguard is taken out, and the simulation finds it: most within a few seeds."""

from collections.abc import Callable
from typing import Final

import pytest

from activation.domain.task import State
from activation.store.record import Record
from activation_gateway.intake import Intake
from activation_gateway.reaper import Reaper
from activation_gateway.relay import Relay
from activation_worker.handler import HttpHandler
from activation_worker.worker import Worker
from tests.support.sabotage import sitecustomize
from tests.support.simulation.simulate import simulate

MOST_SEEDS: Final = 3000

TOUCHED: Final[list[tuple[type, str]]] = [
    (Record, "is_held_by"),
    (Relay, "_take_ready"),
    (Relay, "_look_for_lost"),
    (Reaper, "_reap_some"),
    (Worker, "_renew_leases"),
    (Worker, "_consume"),
    (Intake, "accept"),
    (HttpHandler, "activate"),
]


def fence() -> None:
    """The result of any attempt counts as that of the present one, and no lease is ever lost."""
    Record.is_held_by = lambda record, claim: record.task.state is State.RUNNING


def late_ack() -> None:
    """Alone it does no harm: messages that a worker takes with it are found to be lost."""
    sitecustomize.late_ack()
    sitecustomize.lost_messages()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("take_out", "rules"),
    [
        (fence, {"wrong_result"}),
        (sitecustomize.sweep, {"lost", "unfinished"}),
        (sitecustomize.lease, {"lost", "unfinished"}),
        (sitecustomize.heartbeat, {"taken_from_the_living"}),
        (sitecustomize.order, {"overlapping", "out_of_order"}),
        (sitecustomize.key, {"doubled"}),
        (sitecustomize.lost_messages, {"lost", "unfinished"}),
        (late_ack, {"lost", "unfinished"}),
    ],
    ids=lambda value: getattr(value, "__name__", "found"),
)
def test_missing_safeguard_is_found(
    take_out: Callable[[], None], rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that the safeguard keeps is broken, and without the sabotage the seed is well."""
    for owner, name in TOUCHED:  # so that what is taken out is put back
        monkeypatch.setattr(owner, name, getattr(owner, name))
    take_out()
    seed = _first_that_breaks(rules)
    monkeypatch.undo()

    assert simulate(seed).findings == []


def _first_that_breaks(rules: set[str]) -> int:
    for seed in range(MOST_SEEDS):
        broken = {finding.partition(":")[0] for finding in simulate(seed).findings}
        if rules <= broken:
            return seed
    pytest.fail(f"{MOST_SEEDS} seeds break no {' and '.join(rules)}")
