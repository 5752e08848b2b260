"""Starting a service whose servers may come up after it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from activation.encryption import Cipher, EncryptionKey, read_encryption_keys
from activation.errors import StoreUnavailableError
from activation.key_file import KeyFile
from activation.ports import TaskStore
from activation.settings import StoreSettings
from activation.store import Schema, migrate_store, open_store
from activation.telemetry.logging import get_logger

_PAUSE_S: Final = 1.0

log = get_logger()

_Result = TypeVar("_Result")


async def open_encryption_keys(settings: StoreSettings) -> KeyFile[EncryptionKey] | None:
    """Return the file of keys that parameters are encrypted with; None: they are not.

    Raises:
        StartError: It cannot be used.
    """
    if settings.encryption_keys_file is None:
        return None
    keys = KeyFile(
        settings.encryption_keys_file,
        read_encryption_keys,
        kind="encryption keys",
        every_s=settings.encryption_keys_poll_s,
    )
    await keys.open()
    return keys


async def open_store_patiently(
    settings: StoreSettings, stop: asyncio.Event, keys: KeyFile[EncryptionKey] | None
) -> TaskStore | None:
    """Open the store, however long it takes to come up; None if told to stop before.

    Raises:
        StartError: The URL cannot be used.
    """
    return await _patiently(
        lambda: open_store(
            settings.database_url.get_secret_value(),
            timeout_s=settings.store_timeout_s,
            pool_size=settings.store_pool_size,
            publish_lease_s=settings.publish_lease_s,
            key_lifetime_s=settings.key_lifetime_s,
            migrate_schema=settings.migrate_at_start,
            cipher=None if keys is None else Cipher(keys.current, look=keys.look),
        ),
        stop,
    )


async def migrate_patiently(settings: StoreSettings, stop: asyncio.Event) -> Schema | None:
    """Bring the schema up to date, however long the store takes to come up.

    Returns:
        What the schema was before; None if told to stop before it was looked at.

    Raises:
        StartError: The URL cannot be used.
    """
    return await _patiently(lambda: migrate_store(settings.database_url.get_secret_value()), stop)


async def _patiently(
    attempt: Callable[[], Awaitable[_Result]], stop: asyncio.Event
) -> _Result | None:
    while not stop.is_set():
        try:
            return await attempt()
        except StoreUnavailableError as error:
            log.warning("store_unavailable", error=str(error), retry_in_s=_PAUSE_S)
        await asyncio.sleep(_PAUSE_S)
    return None
