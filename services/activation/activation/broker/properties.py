"""Properties of messages, whatever a stranger wrote into them.

pamqp raises on names that are not UTF-8, on times beyond all years and on tables nested too deeply,
and aiormq closes the connection then. The broker delivers such a message again, first of all, so
one of them would stop every worker for ever. Here it arrives, and says that it cannot be read.
"""

from typing import Final

from aiormq import spec

JSON: Final = "application/json"

_UNREADABLE: Final = "activation.unreadable"  # a type that no message of ours has
_unmarshal: Final = spec.Basic.Properties.unmarshal


def fault_of(properties: spec.Basic.Properties) -> str | None:
    """Say why a message with these properties is none of ours; None if it may be one."""
    if properties.message_type == _UNREADABLE:
        return "the properties cannot be read"
    if properties.content_type not in {None, "", JSON}:
        return f"the content type is not {JSON}"
    return None


def _unmarshal_anything(self: spec.Basic.Properties, flags: int, data: bytes) -> None:
    try:
        _unmarshal(self, flags, data)
    except Exception:  # noqa: BLE001  # of many kinds; `fault_of` tells the worker, who records it
        spec.Basic.Properties.__init__(self, message_type=_UNREADABLE)


# aiormq offers no place between the socket and pamqp.
spec.Basic.Properties.unmarshal = _unmarshal_anything  # type: ignore[assignment,method-assign]
