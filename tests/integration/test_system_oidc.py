"""Access tokens at a gateway in a process of its own, with an issuer on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from activation_cli.exits import Exit
from activation_gateway.api_keys import new_key
from activation_gateway.oidc import issuer as issuer_module
from activation_gateway.oidc.issuer import IssuerKeys
from tests.support.guarded_gateway import ask, command, guarded_gateway, write_keys
from tests.support.issuer import AUDIENCE, DISCOVERY, JWKS, Issuer, public_jwk, rsa_key
from tests.support.service import Service, eventually

pytestmark = pytest.mark.timeout(120)


def token(issuer: Issuer, **more: Any) -> str:
    return issuer.token(issuer.claims(time.time()), **more)


async def test_gateway_takes_tokens_beside_keys_and_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that comes late, keys that change, forged tokens, and the command line."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    key = new_key()
    write_keys(tmp_path, key)
    issuer = Issuer()
    async with issuer.serving() as port:
        pass
    gateway = guarded_gateway(tmp_path, oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    await gateway.start()
    try:
        early = token(issuer)
        waiting = await ask(gateway, early)
        assert (waiting.status_code, waiting.headers["Retry-After"]) == (503, "10")
        assert (await ask(gateway, key)).status_code == 200

        async with issuer.serving(port):

            async def taken() -> bool:
                return (await ask(gateway, early)).status_code == 200

            await eventually(taken, what="200 for a token of the issuer")
            forged = token(issuer, key=rsa_key(2), jwk=public_jwk(rsa_key(2)))
            assert (await ask(gateway, forged)).status_code == 401

            issuer.keys["second"] = rsa_key(1)
            rotated = token(issuer, key_id="second")
            await eventually(lambda: _is_taken(gateway, rotated), what="200 for the new key")
            submitted = await asyncio.to_thread(command, gateway, rotated, "submit", "ABC123")
            denied = await asyncio.to_thread(command, gateway, forged, "status")
        assert (await ask(gateway, rotated)).status_code == 200  # the issuer is away again
    finally:
        exit_code = await gateway.terminate()

    assert submitted.returncode == Exit.DONE, submitted.stderr
    assert denied.returncode == Exit.DENIED
    assert exit_code == 0
    said = "".join([*gateway.log_lines(), denied.stderr, submitted.stdout])
    assert "issuer_keys_read" in said
    for secret in (early, forged, rotated, key):
        assert not any(part in said for part in secret.split("."))


async def _is_taken(gateway: Service, bearer: str) -> bool:
    return (await ask(gateway, bearer)).status_code == 200


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Issuer]:
    """An issuer on loopback; whoever asks it gives up soon, and asks again soon."""
    monkeypatch.setattr(issuer_module, "FETCH_S", 0.3)
    monkeypatch.setattr(issuer_module, "PAUSE_S", 0.3)
    monkeypatch.setattr(issuer_module, "REFRESH_S", 0.3)
    issuer = Issuer()
    async with issuer.serving():
        yield issuer


async def test_keys_come_and_go_with_an_issuer_that_hangs_in_between(served: Issuer) -> None:
    """Over real sockets: discovery, rotation, an issuer that hangs, and one that comes back."""
    http = httpx.AsyncClient(trust_env=False)
    keys = IssuerKeys(http, issuer=served.url, jwks_url=None, monotonic_s=time.monotonic)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keys.run())
        await eventually(lambda: keys.find("first", "RS256"), what="the first key")
        assert served.asked[:2] == [f"/realm{DISCOVERY}", JWKS]

        hanging = asyncio.Event()
        served.before_answer = hanging.wait  # type: ignore[assignment]
        served.keys = {"second": rsa_key(1)}
        assert await keys.find("second", "RS256") is None
        assert await keys.find("first", "RS256") is not None
        hanging.set()

        await eventually(lambda: keys.find("second", "RS256"), what="the second key")
        assert await keys.find("first", "RS256") is None
        running.cancel()
    assert http.is_closed
