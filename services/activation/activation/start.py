"""Starting a service whose servers may come up after it."""

import asyncio
from typing import Final

from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.settings import StoreSettings
from activation.store import open_store
from activation.telemetry.logging import get_logger

_PAUSE_S: Final = 1.0

log = get_logger()


async def open_store_patiently(settings: StoreSettings, stop: asyncio.Event) -> TaskStore | None:
    """Open the store, however long it takes to come up; None if told to stop before.

    Raises:
        StartError: The URL cannot be used.
    """
    while not stop.is_set():
        try:
            return await open_store(
                settings.database_url.get_secret_value(),
                timeout_s=settings.store_timeout_s,
                pool_size=settings.store_pool_size,
                publish_lease_s=settings.publish_lease_s,
                key_lifetime_s=settings.key_lifetime_s,
            )
        except StoreUnavailableError as error:
            log.warning("store_unavailable", error=str(error), retry_in_s=_PAUSE_S)
        await asyncio.sleep(_PAUSE_S)
    return None
