"""Access tokens at the gateway: which are taken, for whom, and what is said of the others."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from structlog.testing import capture_logs

from activation_gateway.api_keys import ApiKey, hash_of
from activation_gateway.credentials import IssuerAwayError
from activation_gateway.oidc.jwks import usable_keys
from activation_gateway.oidc.tokens import LEEWAY_S, LONGEST, TokenCheck, TokenRules
from activation_gateway.rate_limit import RateLimit
from activation_gateway.scopes import Scope
from tests.support.clock import VirtualClock
from tests.support.gateway import NOBODY, GatewayUnderTest, running_gateway
from tests.support.issuer import AUDIENCE, Issuer, public_jwk, rsa_key

KEY: Final = ApiKey(id="crm", sha256=hash_of("act_secret"), scopes=frozenset({Scope.READ}))
P256: Final = ec.generate_private_key(ec.SECP256R1())
ED25519: Final = ed25519.Ed25519PrivateKey.generate()
PUBLISHED: Final = [
    public_jwk(rsa_key(), kid="first"),
    public_jwk(P256, kid="p256"),
    public_jwk(ED25519, kid="ed25519", use="sig", key_ops=["verify"]),
    public_jwk(rsa_key(1), kid="pinned", alg="RS256"),
]


class Bench:
    """A gateway that takes tokens and API keys, and the issuer that it believes."""

    def __init__(self, gateway: GatewayUnderTest, issuer: Issuer) -> None:
        self.gateway = gateway
        self.issuer = issuer

    @property
    def now_s(self) -> float:
        return self.gateway.clock.now().timestamp()

    def token(self, **claims: Any) -> str:
        return self.issuer.token(self.issuer.claims(self.now_s, **claims))

    async def ask(self, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.gateway.http.get("/api/v1/status", headers=headers)

    async def refused(self, token: str) -> str:
        """Ask with a token that must be refused, quietly; returns what is said of it."""
        with capture_logs() as logs:
            answer = await self.ask(token)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        detail = str(answer.json()["detail"])
        said = f'Bearer realm="activation", error="invalid_token", error_description="{detail}"'
        assert answer.headers["WWW-Authenticate"] == said
        told = f"{logs}{answer.headers}{answer.text}"
        assert not any(part in told for part in token.split(".") if part)
        return detail.removeprefix("The access token is not good: ")


def rules(**more: Any) -> TokenRules:
    usual = {
        "issuer": Issuer().url,
        "audience": AUDIENCE,
        "scope_claim": "scope",
        "scope_prefix": "activation.",
        "limit": None,
    }
    return TokenRules(**(usual | more))


def checked_by(clock: VirtualClock, **more: Any) -> TokenCheck:
    keys = usable_keys({"keys": PUBLISHED})

    async def find(key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        return keys.get((key_id, algorithm))

    return TokenCheck(rules(**more), find, now=clock.now)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Both ways in are open."""
    async with running_gateway(keys=[KEY], tokens=checked_by) as gateway:
        issuer = Issuer(
            keys={"first": rsa_key(), "p256": P256, "ed25519": ED25519, "pinned": rsa_key(1)}
        )
        yield Bench(gateway, issuer)


@pytest.mark.parametrize(
    ("key_id", "algorithm"),
    [
        *(("first", name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("p256", "ES256"),
        ("ed25519", "EdDSA"),
        ("pinned", "RS256"),
    ],
)
async def test_token_of_the_issuer_is_taken(bench: Bench, key_id: str, algorithm: str) -> None:
    """With each algorithm that its key is good for."""
    claims = bench.issuer.claims(bench.now_s)

    answer = await bench.ask(bench.issuer.token(claims, key_id=key_id, algorithm=algorithm))

    assert answer.status_code == 200, answer.text


async def test_token_comes_in_either_header(bench: Bench) -> None:
    """As keys do: Authorization may hold the password of an ingress."""
    answer = await bench.gateway.http.get("/api/v1/status", headers={"X-API-Key": bench.token()})

    assert answer.status_code == 200


@pytest.mark.parametrize("kind", [None, "JWT", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_access_tokens_are_typed_or_not(bench: Bench, kind: str | None) -> None:
    """RFC 9068 section 2.1, and what issuers did before it."""
    token = bench.issuer.token(bench.issuer.claims(bench.now_s), typ=kind)

    assert (await bench.ask(token)).status_code == 200


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "jwt2", ["at+jwt"], 1])
async def test_tokens_for_something_else_are_not_taken(bench: Bench, kind: object) -> None:
    """RFC 8725 section 3.11."""
    token = bench.issuer.token(bench.issuer.claims(bench.now_s), typ=kind)

    assert await bench.refused(token) == "it is of another type"


FUTURE: Final = LEEWAY_S + 1
CLAIMS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "other issuer": ({"iss": "https://evil.example.com"}, "it is of another issuer"),
    "issuer almost": ({"iss": f"{Issuer().url}/"}, "it is of another issuer"),
    "part of the issuer": ({"iss": Issuer().url[:-1]}, "it is of another issuer"),
    "other audience": ({"aud": "https://another.example.com"}, "it is for another audience"),
    "other audiences": ({"aud": ["a", "b"]}, "it is for another audience"),
    "audience that is no text": ({"aud": {"a": 1}}, "it is for another audience"),
    "no subject": ({"sub": None}, "it has no sub"),
    "no audience": ({"aud": None}, "it has no aud"),
    "no issuer": ({"iss": None}, "it has no iss"),
    "no expiry": ({"exp": None}, "it has no exp"),
    "no time of issue": ({"iat": None}, "it has no iat"),
    "subject that is no text": ({"sub": 7}, "its sub is no text"),
    "empty subject": ({"sub": ""}, "its sub has not 1 to 255 characters"),
    "long subject": ({"sub": "x" * 256}, "its sub has not 1 to 255 characters"),
    "expiry that is no time": ({"exp": "2099"}, "its exp is no time"),
    "expiry that never comes": ({"exp": float("inf")}, "its exp is no time"),
    "expiry that is no number": ({"exp": float("nan")}, "its exp is no time"),
    "expiry beyond all numbers": ({"exp": 10**400}, "its exp is no time"),
    "expiry that is true": ({"exp": True}, "its exp is no time"),
    "not before, that is no time": ({"nbf": []}, "its nbf is no time"),
}


@pytest.mark.parametrize(("claims", "why"), CLAIMS.values(), ids=CLAIMS)
async def test_claims_that_do_not_hold_are_named(
    bench: Bench, claims: dict[str, Any], why: str
) -> None:
    """One sentence, which quotes nothing."""
    assert await bench.refused(bench.token(**claims)) == why


async def test_token_ends_with_its_expiry_and_a_little_leeway(bench: Bench) -> None:
    """At that moment, not after it."""
    token = bench.token()
    bench.gateway.clock.advance(300 + LEEWAY_S - 1)
    assert (await bench.ask(token)).status_code == 200
    bench.gateway.clock.advance(1.0)

    assert await bench.refused(token) == "it has expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_token_does_not_begin_before_its_time(bench: Bench, claim: str) -> None:
    """But for a little leeway."""
    assert (await bench.ask(bench.token(**{claim: bench.now_s + LEEWAY_S}))).status_code == 200

    early = bench.token(**{claim: bench.now_s + FUTURE})
    assert await bench.refused(early) == f"its {claim} is in the future"


def encoded(part: object) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    return f"{encoded(header)}.{encoded(claims)}.{encoded(signature)}"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS256", "RS1", ["RS256"]])
async def test_algorithm_must_be_one_of_the_list(bench: Bench, algorithm: object) -> None:
    """RFC 8725 section 3.1."""
    token = unsigned({"alg": algorithm, "kid": "first"}, bench.issuer.claims(bench.now_s))

    assert await bench.refused(token) == "its algorithm is not one of those allowed"


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
async def test_public_key_is_no_secret_to_sign_with(bench: Bench, algorithm: str) -> None:
    """RFC 8725 section 2.1: whoever knows the public key could make such a token."""
    public = (
        rsa_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    claims = encoded(bench.issuer.claims(bench.now_s))
    said = f"{encoded({'alg': algorithm, 'kid': 'first'})}.{claims}"
    digest = hmac.new(public, said.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()

    refused = await bench.refused(f"{said}.{encoded(digest)}")

    assert refused == "its algorithm is not one of those allowed"


async def test_algorithm_must_fit_the_key(bench: Bench) -> None:
    """A key that says RS256 is good for that alone, one of an elliptic curve for its own."""
    claims = bench.issuer.claims(bench.now_s)
    other = bench.issuer.token(claims, key_id="pinned", algorithm="PS256")
    crossed = unsigned({"alg": "RS256", "kid": "p256"}, claims, b"x" * 256)

    assert await bench.refused(other) == "its key id is not known"
    assert await bench.refused(crossed) == "its key id is not known"


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk", "x5c"])
async def test_keys_that_a_token_brings_are_not_read(bench: Bench, header: str) -> None:
    """RFC 8725 section 3.10: only the issuer says which keys are its own."""
    brought: dict[str, Any] = {
        "jku": "https://evil.example.com/keys",
        "x5u": "https://evil.example.com/cert",
        "jwk": public_jwk(rsa_key(2), kid="first"),
        "x5c": ["MIIB"],
    }
    claims = bench.issuer.claims(bench.now_s)
    more = {header: brought[header]}
    forged = bench.issuer.token(claims, key=rsa_key(2), **more)

    assert await bench.refused(forged) == "its signature is wrong"


async def test_tampered_token_is_refused(bench: Bench) -> None:
    """Whichever part was changed."""
    header, _, signature = bench.token().split(".")
    other = encoded(bench.issuer.claims(bench.now_s, sub="root"))
    swapped = bench.token(sub="bob").split(".")[2]

    assert await bench.refused(f"{header}.{other}.{signature}") == "its signature is wrong"
    claims = bench.token().split(".")[1]
    assert await bench.refused(f"{header}.{claims}.{swapped}") == "its signature is wrong"
    assert await bench.refused(f"{header}.{claims}.") == "its signature is wrong"


GARBAGE: Final = {
    "no token": "garbage7f3a",
    "key of another kind": "ghp_garbage7f3a",
    "two parts": "garbage7f3a.garbage7f3a",
    "five parts": ".".join(["eyJhbGciOiJSUzI1NiJ9"] * 5),
    "no base64": "garb*ge7f3a.garb*ge7f3a.garb*ge7f3a",
    "header that is a list": unsigned([1], {"garbage7f3a": 1}),
    "header that is no JSON": unsigned(b"{garbage", {"garbage7f3a": 1}),
    "header without end": unsigned(b"[" * 8000, {"garbage7f3a": 1}),
    "key id that is no text": unsigned({"alg": "RS256", "kid": {"a": 1}}, {"garbage7f3a": 1}),
    "what must be understood, and is not": unsigned(
        {"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1}, {"garbage7f3a": 1}
    ),
}


@pytest.mark.parametrize("token", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_refused(bench: Bench, token: str) -> None:
    """Nothing of it breaks the gateway."""
    assert await bench.refused(token) == "it cannot be read"


@pytest.mark.parametrize("payload", [b"[" * 8000, b"7", b"[]", b"\xff", b'{"iss": '])
async def test_signed_garbage_is_refused(bench: Bench, payload: bytes) -> None:
    """Also where the issuer made it."""
    token = jwt.PyJWS().encode(payload, rsa_key(), "RS256", headers={"kid": "first"})

    assert await bench.refused(token) == "it cannot be read"


async def test_token_of_a_megabyte_is_not_read(bench: Bench) -> None:
    """Its length is looked at first."""
    assert await bench.refused("x" * 1_000_000) == f"it has more than {LONGEST} characters"


@pytest.mark.parametrize(
    ("granted", "status"),
    [
        ("activation.read", 200),
        ("openid activation.read email", 200),
        (["activation.read"], 200),
        (["activation.operate", 7, None], 403),
        ("activation.reader read xactivation.read", 403),
        ("", 403),
        (None, 403),
        ({"activation.read": True}, 403),
        (7, 403),
    ],
)
async def test_scopes_are_words_of_the_claim(bench: Bench, granted: object, status: int) -> None:
    """403 names the word that is missing, as the issuer would write it (RFC 6750 section 3.1)."""
    answer = await bench.ask(bench.token(scope=granted))

    assert answer.status_code == status
    if status == 403:
        assert answer.headers["WWW-Authenticate"] == (
            'Bearer realm="activation", error="insufficient_scope", scope="activation.read"'
        )


async def test_scopes_come_from_the_claim_that_is_set() -> None:
    """With the prefix that is set, even none."""

    def check(clock: VirtualClock) -> TokenCheck:
        return checked_by(clock, scope_claim="roles", scope_prefix="")

    async with running_gateway(tokens=check) as gateway:
        bench = Bench(gateway, Issuer())
        taken = await bench.ask(bench.token(scope=None, roles=["read"]))
        refused = await bench.ask(bench.token(roles=["activation.read"]))

    assert (taken.status_code, refused.status_code) == (200, 403)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("alice", "alice"),
        ("auth0|7f", "auth0|7f"),
        ("system:serviceaccount:a:b", "system:serviceaccount:a:b"),
        ("a\r\nSet-Cookie: b=\x00\x1b[31m", "a%0D%0ASet-Cookie:%20b=%00%1B%5B31m"),
        ("a%0D", "a%250D"),
        ("\ud800", "%ED%A0%80"),
        ("crm", "crm"),
        ("ä" * 255, "%C3%A4" * 255),
    ],
)
async def test_subject_is_the_caller_in_the_audit(bench: Bench, subject: str, shown: str) -> None:
    """With its issuer, as no API key is named; and in characters that can do no harm."""
    headers = {"Authorization": f"Bearer {bench.token(sub=subject)}"}
    with capture_logs() as logs:
        await bench.gateway.http.post(f"/api/v1/tasks/{NOBODY}:cancel", headers=headers)

    [line] = [line for line in logs if line["event"] == "operator_action"]
    assert line["caller"] == f"{bench.issuer.url}#{shown}"


async def test_each_subject_has_a_limit_of_its_own() -> None:
    """Whichever tokens it uses."""

    def check(clock: VirtualClock) -> TokenCheck:
        return checked_by(clock, limit=RateLimit(1.0, 2))

    async with running_gateway(tokens=check) as gateway:
        bench = Bench(gateway, Issuer())
        alice = [await bench.ask(bench.token(jti=str(number))) for number in range(3)]
        bob = await bench.ask(bench.token(sub="bob"))

    assert [answer.status_code for answer in alice] == [200, 200, 429]
    assert alice[2].headers["Retry-After"] == "1"
    assert bob.status_code == 200


async def test_api_keys_go_on_beside_tokens(bench: Bench) -> None:
    """By how they begin."""
    known, unknown = await bench.ask("act_secret"), await bench.ask("act_other")

    assert known.status_code == 200
    assert unknown.json()["detail"] == "This API key is not known"


async def test_both_ways_in_are_told(bench: Bench) -> None:
    """To who brings nothing, and in the documentation."""
    nothing = await bench.gateway.http.get("/api/v1/status")
    document = (await bench.gateway.http.get("/openapi.json")).json()

    assert nothing.headers["WWW-Authenticate"] == 'Bearer realm="activation"'
    assert nothing.json()["detail"].startswith("An API key or access token is needed")
    assert document["components"]["securitySchemes"].keys() == {"bearer", "apiKey", "token"}
    assert document["components"]["securitySchemes"]["token"]["bearerFormat"] == "JWT"
    assert document["paths"]["/api/v1/status"]["get"]["security"] == [
        {"bearer": ["read"]},
        {"apiKey": ["read"]},
        {"token": ["activation.read"]},
    ]


async def test_tokens_alone_are_told_where_there_are_no_keys() -> None:
    """And an API key is as good as any garbage."""
    async with running_gateway(tokens=checked_by) as gateway:
        nothing = await gateway.http.get("/api/v1/status")
        key = await gateway.http.get("/api/v1/status", headers={"X-API-Key": "act_secret"})
        await gateway.http.get("/openapi.json")
        document = (await gateway.http.get("/openapi.json")).json()

    assert nothing.json()["detail"].startswith("An access token is needed")
    assert key.status_code == 401
    assert document["components"]["securitySchemes"].keys() == {"token"}
    away = document["paths"]["/api/v1/status"]["get"]["responses"]["503"]["description"]
    assert away.count("issuer") == 1


async def test_tokens_wait_for_the_keys_of_the_issuer_and_api_keys_do_not() -> None:
    """503 says when to ask again."""

    async def away(_: str | None, __: str) -> None:
        raise IssuerAwayError(10)

    def check(clock: VirtualClock) -> TokenCheck:
        return TokenCheck(rules(), away, now=clock.now)

    async with running_gateway(keys=[KEY], tokens=check) as gateway:
        bench = Bench(gateway, Issuer())
        token, key = await bench.ask(bench.token()), await bench.ask("act_secret")

    assert token.status_code == 503
    assert token.headers["Retry-After"] == "10"
    assert token.headers["Content-Type"] == "application/problem+json"
    assert key.status_code == 200
