"""Secrets leave the store for the handler alone; everywhere else they are masked here."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

MASK: Final = "***"

# What names the parameter in a pair, as in TR-069's ParameterValueStruct {Name, Value} (A.3.2.1).
_NAMING: Final = frozenset({"name", "key", "parameter", "path"})

_SHORTEST_SCRUBBED: Final = 3  # replacing single letters would only garble a message


class Masker:
    """Masks the values of parameters whose name holds one of the secret words.

    A parameter is a member of an object, or a pair: `{"name": "password", "value": "…"}`.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(word.lower() for word in words)

    def is_secret(self, name: str) -> bool:
        """Tell whether a parameter of this name is a secret."""
        lowered = name.lower()
        return any(word in lowered for word in self._words)

    def mask(self, value: Any) -> Any:
        """Return a copy of a JSON value in which every secret is masked, at any depth."""
        if isinstance(value, dict):
            return {
                name: MASK if secret else self.mask(inner)
                for name, inner, secret in self._members(value)
            }
        if isinstance(value, list):
            return [self.mask(inner) for inner in value]
        return value

    def _members(self, value: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
        """Give name and value of each member, and whether it is a secret."""
        naming = {name for name in value if str(name).lower() in _NAMING}
        pair = any(isinstance(value[name], str) and self.is_secret(value[name]) for name in naming)
        for name, inner in value.items():
            yield name, inner, self.is_secret(str(name)) or (pair and name not in naming)

    def mask_json(self, text: str) -> Any:
        """Read a JSON text and mask it."""
        return self.mask(json.loads(text))

    def scrub(self, message: str, parameters: str) -> str:
        """Remove the secrets of a task's parameters from a text, say a handler's error.

        Args:
            message: The text of somebody who has seen the parameters.
            parameters: A JSON object as text.
        """
        if "\\" not in parameters and not self.is_secret(parameters):
            return message  # no name can hold a secret word: the usual case, and this is cheap
        secrets = self._secrets(json.loads(parameters))
        spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
        for spelling in sorted(spellings, key=len, reverse=True):
            message = message.replace(spelling, MASK)
        return message

    def _secrets(self, value: Any, *, under_secret: bool = False) -> Iterator[str]:
        if isinstance(value, dict):
            for _, inner, secret in self._members(value):
                yield from self._secrets(inner, under_secret=under_secret or secret)
        elif isinstance(value, list):
            for inner in value:
                yield from self._secrets(inner, under_secret=under_secret)
        elif under_secret and value is not None and not isinstance(value, bool):
            text = str(value)
            if len(text) >= _SHORTEST_SCRUBBED:
                yield text


def _spellings(secret: str) -> Iterator[str]:
    """Give a secret as it is, and as a dump of the parameters in JSON or Python would show it."""
    yield secret
    for dumped in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        yield dumped[1:-1]
