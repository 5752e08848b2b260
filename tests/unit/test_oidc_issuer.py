"""The keys of an issuer: how they are found, kept and renewed, in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from activation_gateway.credentials import IssuerAwayError
from activation_gateway.oidc.issuer import (
    FETCH_S,
    KEEP_S,
    LARGEST_BYTES,
    PAUSE_S,
    REFRESH_S,
    IssuerKeys,
)
from activation_gateway.oidc.jwks import usable_keys
from tests.support.issuer import DISCOVERY, JWKS, Issuer, public_jwk, rsa_key

pytestmark = pytest.mark.looptime

KEYS_URL: Final = f"https://issuer.example.com{JWKS}"


@asynccontextmanager
async def running(issuer: Issuer, jwks_url: str | None = KEYS_URL) -> AsyncIterator[IssuerKeys]:
    """Fetch the keys in the background; gives them once the first fetch is done."""
    keys = IssuerKeys(
        issuer.client(),
        issuer=issuer.url,
        jwks_url=jwks_url,
        monotonic_s=asyncio.get_running_loop().time,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keys.run())
        await asyncio.sleep(FETCH_S + 0.1)
        yield keys
        task.cancel()


def says(content: bytes, status: int = 200) -> Any:
    return lambda _: (status, content)


async def hang() -> None:
    await asyncio.Event().wait()


async def test_keys_are_found_by_discovery() -> None:
    """The issuer says where they are."""
    issuer = Issuer()
    async with running(issuer, jwks_url=None) as keys:
        assert await keys.find("first", "RS256") is not None

    assert issuer.asked == [f"/realm{DISCOVERY}", JWKS]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"issuer": "https://evil.example.com", "jwks_uri": KEYS_URL}, "is about another issuer"),
        ({"jwks_uri": KEYS_URL}, "is about another issuer"),
        ({"issuer": Issuer().url}, "has no jwks_uri"),
        ({"issuer": Issuer().url, "jwks_uri": 7}, "has no jwks_uri"),
        (
            {"issuer": Issuer().url, "jwks_uri": "http://issuer.example.com/keys"},
            "has a jwks_uri without TLS",
        ),
    ],
)
async def test_discovery_must_be_about_the_issuer(document: Any, fault: str) -> None:
    """OpenID Connect Discovery 1.0 section 4.3; and its keys must not come in the clear."""
    issuer = Issuer(answer=says(json.dumps(document).encode()))
    with capture_logs() as logs:
        async with running(issuer, jwks_url=None) as keys:
            with pytest.raises(IssuerAwayError):
                await keys.find("first", "RS256")

    assert str(logs[0]["fault"]).endswith(fault)
    assert JWKS not in issuer.asked


@pytest.mark.parametrize(
    ("content", "status", "fault"),
    [
        (b"", 200, "answers with no JSON object"),
        (b"[]", 200, "answers with no JSON object"),
        (b"[" * 60_000, 200, "answers with no JSON object"),
        (b"{" + b" " * LARGEST_BYTES + b"}", 200, f"more than {LARGEST_BYTES} bytes"),
        (b"{}", 500, "answers 500"),
        (b"{}", 302, "answers 302"),
        (b"{}", 200, "no key that can be used"),
        (b'{"keys": {}}', 200, "no key that can be used"),
        (b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}', 200, "no key that can be used"),
    ],
)
async def test_what_is_no_set_of_keys_is_told_once(content: bytes, status: int, fault: str) -> None:
    """And tried again, until it is one."""
    issuer = Issuer(answer=says(content, status))
    with capture_logs() as logs:
        async with running(issuer) as keys:
            await asyncio.sleep(3 * PAUSE_S)
            assert [line["event"] for line in logs] == ["issuer_keys_broken"]
            assert fault in logs[0]["fault"]
            issuer.answer = None
            await asyncio.sleep(PAUSE_S)
            assert await keys.find("first", "RS256") is not None


async def test_issuer_out_of_reach_at_the_start_is_asked_until_it_is_there() -> None:
    """Tokens wait that long; the gateway does not."""
    issuer = Issuer(before_answer=hang)
    async with running(issuer) as keys:
        with pytest.raises(IssuerAwayError) as away:
            await keys.find("first", "RS256")
        assert away.value.retry_after_s == PAUSE_S
        issuer.before_answer = Issuer().before_answer
        await asyncio.sleep(PAUSE_S)

        assert await keys.find("first", "RS256") is not None


async def test_new_key_is_fetched_when_a_token_first_names_it() -> None:
    """Not only at the next refresh."""
    issuer = Issuer()
    async with running(issuer) as keys:
        await asyncio.sleep(PAUSE_S)
        issuer.keys["second"] = rsa_key(1)

        assert await keys.find("second", "RS256") is not None
        assert issuer.asked == [JWKS, JWKS]


async def test_key_that_is_withdrawn_ends_with_the_next_refresh() -> None:
    """Though no token names an unknown one."""
    issuer = Issuer(keys={"first": rsa_key(), "second": rsa_key(1)})
    async with running(issuer) as keys:
        del issuer.keys["first"]
        assert await keys.find("first", "RS256") is not None
        await asyncio.sleep(REFRESH_S)

        assert await keys.find("first", "RS256") is None
        assert await keys.find("second", "RS256") is not None


async def test_flood_of_unknown_key_ids_makes_few_fetches() -> None:
    """A thousand at once share one; then there is a pause, in which none waits."""
    issuer = Issuer()
    async with running(issuer) as keys:
        await asyncio.sleep(PAUSE_S)
        issuer.asked.clear()
        for second in range(60):
            many = (keys.find(f"{second}-{number}", "RS256") for number in range(1000))
            assert set(await asyncio.gather(*many)) == {None}
            await asyncio.sleep(1.0)

    assert 6 <= len(issuer.asked) <= 7


async def test_known_key_does_not_wait_for_a_fetch() -> None:
    """Though somebody has the gateway ask an issuer that hangs."""
    issuer = Issuer()
    loop = asyncio.get_running_loop()
    async with running(issuer) as keys:
        await asyncio.sleep(PAUSE_S)
        issuer.before_answer = hang
        async with asyncio.TaskGroup() as group:
            unknown = group.create_task(keys.find("unknown", "RS256"))
            await asyncio.sleep(0.1)
            before_s = loop.time()
            assert await keys.find("first", "RS256") is not None
            assert loop.time() == before_s
            assert not unknown.done()
        assert unknown.result() is None
        assert loop.time() - before_s <= FETCH_S


async def test_keys_outlast_an_issuer_that_is_away_for_a_day() -> None:
    """And no longer."""
    issuer = Issuer()
    async with running(issuer) as keys:
        issuer.answer = says(b"", 503)
        await asyncio.sleep(KEEP_S - FETCH_S - 1)
        assert await keys.find("first", "RS256") is not None
        await asyncio.sleep(FETCH_S + 1)
        with pytest.raises(IssuerAwayError):
            await keys.find("first", "RS256")


async def test_token_without_a_key_id_is_of_the_only_key() -> None:
    """OpenID Connect Core section 10.1: with several, it must name one."""
    issuer = Issuer(keys={"first": rsa_key(), "p256": ec.generate_private_key(ec.SECP256R1())})
    async with running(issuer) as keys:
        assert await keys.find(None, "RS256") is not None
        await asyncio.sleep(PAUSE_S)
        issuer.keys["second"] = rsa_key(1)
        await keys.find("second", "RS256")

        assert await keys.find(None, "RS256") is None
        assert await keys.find(None, "ES256") is not None


SOUND: Final = public_jwk(rsa_key(), kid="a")


@pytest.mark.parametrize(
    "entry",
    [
        public_jwk(rsa_key(9, bits=1024), kid="a"),
        SOUND | {"use": "enc"},
        SOUND | {"key_ops": ["encrypt"]},
        SOUND | {"key_ops": "verify"},
        SOUND | {"alg": "HS256"},
        SOUND | {"alg": ["RS256"]},
        SOUND | {"kid": 7},
        SOUND | {"kty": ["RSA"]},
        SOUND | {"crv": {}},
        SOUND | {"n": 7},
        SOUND | {"n": "*"},
        SOUND | {"e": "AA"},
        {"kty": "RSA", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "a"},
        {"kty": "EC", "crv": "secp256k1", "kid": "a"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "oct", "k": "AAAA", "alg": "HS256"},
        "RSA",
        None,
    ],
)
def test_entry_that_cannot_be_used_does_not_harm_the_others(entry: Any) -> None:
    """RFC 7517 section 5: it is left out."""
    found = usable_keys({"keys": [entry, public_jwk(rsa_key(1), kid="b", alg="RS256")]})

    assert found.keys() == {("b", "RS256")}
