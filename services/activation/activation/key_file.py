"""The file of API keys: read at the start, and again whenever it changes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from activation.errors import StartError
from activation.telemetry.logging import get_logger
from activation_gateway.api_keys import ApiKey, KeyFileError, read_keys

_READ_S: Final = 5.0  # a volume may hang

log = get_logger()


class KeyFile:
    """Knows the keys that hold now.

    Its content is compared, not its time: Kubernetes changes a mounted Secret by a symbolic link.

    Args:
        path: Where it is.
        every_s: How often it is looked at.
    """

    def __init__(self, path: Path, *, every_s: float) -> None:
        self._path = path
        self._every_s = every_s
        self._content: bytes | None = None
        self._fault: str | None = None
        self._keys: Sequence[ApiKey] = ()

    def current(self) -> Sequence[ApiKey]:
        """Return the keys of the last content that could be used."""
        return self._keys

    async def open(self) -> None:
        """Read it for the first time.

        Raises:
            StartError: It cannot be used.
        """
        try:
            await self._read()
        except KeyFileError as error:
            raise StartError(f"the API keys in {self._path}: {error}") from error

    async def run(self) -> None:
        """Look at it until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def look(self) -> None:
        """Take what it holds now; if that cannot be used, say so once and keep what there was."""
        fault = None
        try:
            await self._read()
        except KeyFileError as error:
            fault = str(error)
        if fault is not None and fault != self._fault:
            log.error("api_keys_broken", file=str(self._path), fault=fault)
        self._fault = fault

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                content = await asyncio.to_thread(self._path.read_bytes)
        except TimeoutError:
            raise KeyFileError(f"it cannot be read within {_READ_S:g} s") from None
        except OSError as error:
            raise KeyFileError(f"it cannot be read: {error.strerror}") from error
        if content != self._content:
            self._keys, self._content = read_keys(content), content
            log.info("api_keys_read", file=str(self._path), ids=[key.id for key in self._keys])
