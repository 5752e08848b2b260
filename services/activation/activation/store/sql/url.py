"""Reading the URL of a database."""

import ssl
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activation.errors import StartError

_SSL_OFF: Final = frozenset({"disable", "allow", "prefer"})


def read_url(text: str) -> URL:
    """Read a database URL and choose our drivers for it.

    Raises:
        StartError: It is no URL of PostgreSQL or SQLite. The message leaves the password out.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise StartError(
            "the database URL cannot be read; "
            "write postgresql://user:password@host/name or sqlite:////path/file.db"
        ) from None
    match url.get_backend_name():
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+asyncpg")
        case "sqlite" if url.database:
            return url.set(drivername="sqlite+aiosqlite")
        case other:
            raise StartError(f"the database URL names {other!r}; use postgresql or sqlite")


def connect_options(url: URL, *, timeout_s: float) -> dict[str, Any]:
    """Return what asyncpg needs for a connection, and for each statement a deadline."""
    mode = url.query.get("sslmode", "prefer")
    plain = url.difference_update_query(["sslmode"]).set(drivername="postgresql")
    return {
        "dsn": plain.render_as_string(hide_password=False),
        "timeout": timeout_s,
        "command_timeout": timeout_s,
        "server_settings": {"application_name": "activation"},
        **({} if mode in _SSL_OFF else {"ssl": _tls(str(mode))}),
    }


def _tls(mode: str) -> ssl.SSLContext:
    """Build TLS as libpq understands `sslmode` (PostgreSQL documentation, 34.19)."""
    context = ssl.create_default_context()
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
