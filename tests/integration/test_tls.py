"""TLS to broker, store and handler: who answers is checked before a secret is sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import pytest
import trustme

from activation.broker import Queues, RabbitMQ
from activation.domain.outcome import Reason
from activation.errors import BrokerUnavailableError, StartError
from activation.store.sql.url import connect_options, read_url
from tests.support.handler_calls import a_claim, client_of
from tests.support.misbehaving_server import answer, serving

_LIMIT_S: Final = 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The certificate that a client is told to trust."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@asynccontextmanager
async def server(authority: trustme.CA, name: str, *, postgres: bool) -> AsyncIterator[int]:
    """Serve TLS under a name; gives the port. It says no more than that it is there.

    PostgreSQL's clients ask for TLS first (PostgreSQL documentation, 54.2.10).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_LIMIT_S):
                if postgres:
                    await reader.readexactly(8)
                    writer.write(b"S")
                    await writer.start_tls(context)
                await reader.readexactly(4)
                reached.append(name)
        writer.close()

    tls = None if postgres else context
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]


reached: list[str] = []


@pytest.fixture(autouse=True)
def nobody_yet() -> None:
    reached.clear()


@pytest.mark.parametrize(
    ("name", "query", "gets_in"),
    [
        ("127.0.0.1", "?cafile={authority}", True),
        ("127.0.0.1", "", False),
        ("other.example.com", "?cafile={authority}", False),
    ],
)
async def test_broker_of_an_amqps_url_must_prove_its_name(
    authority: trustme.CA, authority_file: Path, name: str, query: str, gets_in: bool
) -> None:
    """By the authorities of the system, or by the one in `cafile`."""
    async with server(authority, name, postgres=False) as port:
        url = f"amqps://user:password@127.0.0.1:{port}/{query.format(authority=authority_file)}"
        await _fail_to_open(url)

    assert bool(reached) is gets_in


async def _fail_to_open(url: str) -> None:
    broker = RabbitMQ(url, name="test", queues=Queues("tasks", "dead"), timeout_s=_LIMIT_S)
    with pytest.raises(BrokerUnavailableError):
        async with broker.open_session():
            pass


@pytest.mark.parametrize(
    ("name", "query", "gets_in"),
    [
        ("127.0.0.1", "?sslmode=verify-full&sslrootcert={authority}", True),
        ("127.0.0.1", "?sslmode=verify-full", False),
        ("other.example.com", "?sslmode=verify-full&sslrootcert={authority}", False),
        ("other.example.com", "?sslmode=verify-ca&sslrootcert={authority}", True),
        ("other.example.com", "?sslmode=verify-ca", False),
        ("other.example.com", "?sslmode=require", True),
    ],
)
async def test_database_must_prove_what_sslmode_asks_for(
    authority: trustme.CA, authority_file: Path, name: str, query: str, gets_in: bool
) -> None:
    """As libpq does it (PostgreSQL documentation, 34.19.1)."""
    async with server(authority, name, postgres=True) as port:
        url = f"postgresql://user:password@127.0.0.1:{port}/db{query}"
        options = connect_options(
            read_url(url.format(authority=authority_file)), timeout_s=_LIMIT_S
        )
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await asyncpg.connect(**options)

    assert bool(reached) is gets_in


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sslmode=verify_full", "unknown sslmode; use one of"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "sslrootcert of the database URL"),
    ],
)
def test_tls_that_cannot_be_had_stops_the_start(query: str, fault: str) -> None:
    """A slip must not leave the server unchecked."""
    with pytest.raises(StartError, match=fault) as caught:
        connect_options(read_url(f"postgresql://user:s3cret@db/name?{query}"), timeout_s=1.0)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("postgres", [False, True])
async def test_broker_and_database_are_trusted_by_the_authorities_in_ssl_cert_file(
    authority: trustme.CA, authority_file: Path, monkeypatch: pytest.MonkeyPatch, *, postgres: bool
) -> None:
    """Where their URLs name no file: one variable for all servers."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    async with server(authority, "127.0.0.1", postgres=postgres) as port:
        if postgres:
            url = read_url(f"postgresql://user:password@127.0.0.1:{port}/db?sslmode=verify-full")
            with pytest.raises((OSError, asyncpg.PostgresError)):
                await asyncpg.connect(**connect_options(url, timeout_s=_LIMIT_S))
        else:
            await _fail_to_open(f"amqps://user:password@127.0.0.1:{port}/")

    assert reached


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("127.0.0.1", True, Reason.COMPLETED),
        ("127.0.0.1", False, Reason.UNREACHABLE),
        ("other.example.com", True, Reason.UNREACHABLE),
    ],
)
async def test_handler_of_an_https_url_must_prove_its_name(
    authority: trustme.CA,
    authority_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    trusted: bool,
    reason: Reason,
) -> None:
    """By the authorities of the system, or by those in SSL_CERT_FILE."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    success = answer(200, {"code": 200, "message": "success"})

    async with serving(success, tls=context) as handler, client_of(handler.url) as client:
        outcome = await client.activate(a_claim(parameters='{"password": "canary"}'))

    assert outcome.reason == reason
    assert len(handler.requests) == (reason is Reason.COMPLETED)
