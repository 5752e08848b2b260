"""Messages as a stranger may put them on the queue, with properties that no library would write."""

import struct
from typing import Final

from aiormq import spec

_CONTENT_TYPE: Final = 1 << 15
_HEADERS: Final = 1 << 13
_TIMESTAMP: Final = 1 << 6
_TOO_DEEP: Final = 3_000  # for Python, not for RabbitMQ


class RawProperties(spec.Basic.Properties):
    """Properties that are sent as they are given: flags, and the bytes behind them.

    Args:
        flags: Which properties follow (AMQP 0-9-1, section 4.2.6.1).
        payload: The properties.
    """

    def __init__(self, flags: int, payload: bytes) -> None:
        super().__init__()
        self._raw = struct.pack(">H", flags) + payload

    def marshal(self) -> bytes:
        """See `spec.Basic.Properties.marshal`."""
        return self._raw


def headers(table: bytes) -> RawProperties:
    """Return properties that are a table of headers alone."""
    return RawProperties(_HEADERS, _long(table))


def field(name: bytes, kind: bytes, value: bytes) -> bytes:
    """Write a field of a table."""
    return bytes([len(name)]) + name + kind + value


def nested(depth: int) -> bytes:
    """Write tables within tables."""
    table = b""
    for _ in range(depth):
        table = field(b"a", b"F", _long(table))
    return table


def _long(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


HOSTILE: Final = {
    "name that is not UTF-8": headers(field(b"\xff\xfe", b"t", b"\x01")),
    "text that is not UTF-8": headers(field(b"traceparent", b"S", _long(b"\xff\xfe"))),
    "time beyond all years": headers(field(b"at", b"T", b"\xff" * 8)),
    "time of publication beyond all years": RawProperties(_TIMESTAMP, b"\x7f" + b"\xff" * 7),
    "content type that is not UTF-8": RawProperties(_CONTENT_TYPE, b"\x02\xff\xfe"),
    "tables in tables": headers(nested(_TOO_DEEP)),
    "trace of another type": headers(field(b"traceparent", b"l", b"\xff" * 8)),
    "very many headers": headers(b"".join(field(b"%d" % n, b"V", b"") for n in range(5_000))),
    "header twice": headers(field(b"traceparent", b"V", b"") * 2),
}
