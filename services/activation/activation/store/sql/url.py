"""Reading the URL of a database."""

import ssl
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activation.errors import StartError

_SSL_OFF: Final = frozenset({"disable", "allow", "prefer"})
_SSL_ON: Final = frozenset({"require", "verify-ca", "verify-full"})


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
    """Return what asyncpg needs for a connection, and for each statement a deadline.

    Raises:
        StartError: What the URL says of TLS cannot be followed.
    """
    tls = _tls(url)
    plain = without_tls(url).set(drivername="postgresql")
    return {
        "dsn": plain.render_as_string(hide_password=False),
        "timeout": timeout_s,
        "command_timeout": timeout_s,
        "server_settings": {"application_name": "activation"},
        **({} if tls is None else {"ssl": tls}),
    }


def without_tls(url: URL) -> URL:
    """Return a URL without what `connect_options` has made TLS of."""
    return url.difference_update_query(["sslmode", "sslrootcert"])


def _tls(url: URL) -> ssl.SSLContext | None:
    """Build TLS as libpq understands `sslmode` and `sslrootcert` (PostgreSQL documentation, 34.19).

    Without `sslrootcert` the authorities are those of the system. None leaves it to the server.
    """
    mode = str(url.query.get("sslmode", "prefer"))
    if mode in _SSL_OFF:
        return None
    if mode not in _SSL_ON:
        known = ", ".join(sorted(_SSL_OFF | _SSL_ON))
        raise StartError(f"the database URL names an unknown sslmode; use one of {known}")
    authority = url.query.get("sslrootcert")
    try:
        context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    except OSError as error:
        raise StartError(f"the sslrootcert of the database URL cannot be used: {error}") from error
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
