"""What only the memory store has to promise."""

from activation.store.memory import MemoryStore
from tests.support.clock import VirtualClock


async def test_watcher_that_has_gone_leaves_nothing_behind() -> None:
    """A queue that nobody reads would grow for ever."""
    store = MemoryStore(VirtualClock())
    notices = store.watch()
    await anext(notices)
    watched = len(store._watchers)

    await notices.aclose()

    assert (watched, len(store._watchers)) == (1, 0)
