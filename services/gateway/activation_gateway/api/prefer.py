"""The `Prefer` header (RFC 7240): what is not known, or cannot be read, is ignored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST_WAIT_S: Final = 60  # longer ones are cut: proxies tend to give up on silent requests

_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a client would like.

    Attributes:
        respond_async: 202 with a place to look, instead of 200.
        representation: The whole task in every state.
        wait_s: How long to wait for the end of the task; 0 is not at all.
    """

    respond_async: bool = False
    representation: bool = False
    wait_s: int | None = None


def read_preferences(headers: Iterable[str]) -> Preferences:
    """Read the values of all `Prefer` headers of a request; of a repeated one the first counts."""
    given: dict[str, str] = {}
    for element in _ELEMENT.findall(",".join(headers)):
        name, _, value = element.partition(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = given.get("wait", "")
    return Preferences(
        respond_async=given.get("respond-async") == "",
        representation=given.get("return") == "representation",
        wait_s=min(int(wait), LONGEST_WAIT_S) if _SECONDS.fullmatch(wait) else None,
    )
