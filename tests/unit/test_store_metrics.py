"""What is measured of the store: each operation, its failures, and the connections."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.store import open_store
from tests.support.counting import counting
from tests.support.tasks import accept, claim, new_task, success

TIMEOUT_S = 0.5
COUNT = "activation_store_operation_duration_seconds_count"
SUM = "activation_store_operation_duration_seconds_sum"
FAILURES = "activation_store_failures_total"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TaskStore]:
    """A store in the file `store.db`."""
    opened = await open_store(f"sqlite:///{tmp_path}/store.db", timeout_s=TIMEOUT_S)
    yield opened
    await opened.close()


async def test_operations_are_counted_by_their_name(store: TaskStore) -> None:
    """A commit of many tasks is one operation."""
    grown = counting()

    await store.accept([new_task(f"DEVICE{n}") for n in range(5)])
    claimed = await claim(store, await accept(store))
    await store.renew([claimed], 30.0)
    await store.finish([success(claimed)])
    await store.get(claimed.task_id)

    counts = {name: grown(COUNT, operation=name) for name in ("accept", "claim", "renew", "finish")}
    assert counts == {"accept": 2, "claim": 1, "renew": 1, "finish": 1}
    assert grown(COUNT, operation="get") == 1
    assert 0 < grown(SUM, operation="accept") < 5
    assert REGISTRY.get_sample_value(FAILURES, {"operation": "get"}) is not None


async def test_a_store_that_does_not_answer_is_a_failure_and_took_its_time(
    store: TaskStore, tmp_path: Path
) -> None:
    """While another process holds the file, a write waits and then fails."""
    grown = counting()

    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailableError):
            await accept(store)
        other.execute("rollback")
    await accept(store)

    assert grown(FAILURES, operation="accept") == 1
    assert grown(COUNT, operation="accept") == 2
    assert grown(SUM, operation="accept") >= TIMEOUT_S / 2


async def test_connections_of_the_pool_are_shown_as_they_are(store: TaskStore) -> None:
    """What watches the store keeps one; what was used is kept for the next."""
    used = connections()
    watching = store.watch()
    await anext(watching)
    watched = connections()
    await watching.aclose()  # type: ignore[attr-defined]  # a generator

    assert connections() == {"in_use": 0, "idle": 1, "max": 4}
    assert watched == {"in_use": 1, "idle": 0, "max": 4}
    assert used["in_use"] == 0


def connections() -> dict[str, float | None]:
    """Return what the pool says of itself."""
    name = "activation_store_connections"
    return {
        "in_use": REGISTRY.get_sample_value(name, {"state": "in_use"}),
        "idle": REGISTRY.get_sample_value(name, {"state": "idle"}),
        "max": REGISTRY.get_sample_value(f"{name}_max"),
    }
