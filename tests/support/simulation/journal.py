"""What happened in a simulation, in order: the proof that a seed replays exactly."""

import asyncio
import hashlib
from uuid import UUID

from tests.support.simulation.loop import Process


class Journal:
    """Entries are kept as they are, and made readable only when somebody reads them."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, str, tuple[object, ...]]] = []

    def note(self, process: Process, *what: object) -> None:
        self._entries.append((asyncio.get_running_loop().time(), process.name, what))

    def lines(self, last: int | None = None) -> list[str]:
        """Return entries as text, or only the last ones but for looks that have found nothing."""
        entries = self._entries
        if last is not None:
            entries = [entry for entry in entries if entry[2][-1] != []][-last:]
        return [
            f"{at:10.4f}  {who:<12}  {' '.join(_short(word) for word in what)}"
            for at, who, what in entries
        ]

    def digest(self) -> str:
        """Return a fingerprint of everything."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()


def _short(word: object) -> str:
    match word:
        case UUID():
            return f"#{word.int}"
        case list() | tuple() | frozenset():
            words = sorted(word, key=str) if isinstance(word, frozenset) else word
            return f"[{', '.join(map(_short, words))}]"
        case Exception():
            return f"{type(word).__name__}({word})"
        case _ if callable(word):
            return str(getattr(word, "__qualname__", word))  # its address is another in each run
    fields = getattr(word, "__slots__", None)
    if fields is None:
        return str(word)
    shown = ((name, getattr(word, name)) for name in fields)
    return f"{type(word).__name__}({', '.join(_short(v) for n, v in shown if n != 'parameters')})"
