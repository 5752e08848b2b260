"""Files of keys: read at the start, and again whenever they change."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from activation.errors import ActivationError, StartError
from activation.telemetry.logging import get_logger

_READ_S: Final = 5.0  # a volume may hang

log = get_logger()


class KeyFileError(ActivationError):
    """The file of keys cannot be used; the message says what is wrong where, and quotes nothing."""


class Entry(Protocol):
    """What such a file is a list of."""

    @property
    def id(self) -> str:
        """Names the key in logs; it is no secret."""
        ...


_Entry = TypeVar("_Entry", bound=Entry)


class KeyFile(Generic[_Entry]):
    """Knows the keys that hold now.

    Its content is compared, not its time: Kubernetes changes a mounted Secret by a symbolic link.

    Args:
        path: Where it is.
        read: Reads a content, or raises `KeyFileError`.
        kind: What the keys are, as in "API keys": begins the names of its events in the log, too.
        every_s: How often it is looked at.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[bytes], Sequence[_Entry]],
        *,
        kind: str,
        every_s: float,
    ) -> None:
        self._path = path
        self._read_keys = read
        self._kind = kind
        event = kind.lower().replace(" ", "_")
        self._event_broken, self._event_read = f"{event}_broken", f"{event}_read"
        self._every_s = every_s
        self._content: bytes | None = None
        self._fault: str | None = None
        self._keys: Sequence[_Entry] = ()

    def current(self) -> Sequence[_Entry]:
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
            raise StartError(f"the {self._kind} in {self._path}: {error}") from error

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
            log.error(self._event_broken, file=str(self._path), fault=fault)
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
            self._keys, self._content = self._read_keys(content), content
            ids = [key.id for key in self._keys]
            log.info(self._event_read, file=str(self._path), ids=ids)


def read_entries(
    content: bytes, entries: TypeAdapter[list[_Entry]], *, unique: Sequence[str]
) -> Sequence[_Entry]:
    """Read a list of keys, in YAML or JSON.

    Args:
        content: Of the file.
        entries: What it must hold.
        unique: Which attributes no two keys may share.

    Raises:
        KeyFileError: It holds something else.
    """
    try:
        given = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: February 30
        mark = getattr(error, "problem_mark", None)
        where = f"; see line {mark.line + 1}" if mark else ""
        raise KeyFileError(f"it cannot be read as YAML{where}") from None
    try:
        keys = entries.validate_python(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = (_told(fault["loc"], fault["msg"]) for fault in faults)
        raise KeyFileError("; ".join(told)) from None
    for name in unique:
        if len({getattr(key, name) for key in keys}) < len(keys):
            raise KeyFileError(f"two keys have the same {name}")
    return keys


def _told(place: tuple[int | str, ...], message: str) -> str:
    if not place:
        return "it must be a list of keys"
    number, *path = place
    where = ", ".join([f"key {int(number) + 1}", *map(str, path)])
    return f"{where}: {message.removeprefix('Value error, ')}"
