"""An OpenID provider in the small: keys of its own, tokens, and answers of every kind."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE: Final = "https://activation.example.com"
DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/keys"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(number: int = 0, *, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key; the same for the same number, as making one takes long."""
    return rsa.generate_private_key(65537, bits)


def public_jwk(key: PrivateKey, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as an issuer publishes it."""
    match key:
        case rsa.RSAPrivateKey():
            public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in public.items() if name != "key_ops"} | more


@dataclass
class Issuer:
    """Signs tokens, and tells its public keys.

    Attributes:
        keys: What it publishes, by the id of the key.
        url: Its name; set anew where it serves.
        asked: The paths that it was asked for.
        answer: What it answers; by default the truth.
        before_answer: Awaited before each answer.
    """

    url: str = "https://issuer.example.com/realm"
    keys: dict[str, PrivateKey] = field(default_factory=lambda: {"first": rsa_key()})
    asked: list[str] = field(default_factory=list)
    answer: Callable[[str], tuple[int, bytes]] | None = None
    before_answer: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))

    def claims(self, now_s: float, **more: Any) -> dict[str, Any]:
        """Return the claims of a token that is good for five minutes; those that are None go."""
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": int(now_s),
            "exp": int(now_s) + 300,
            "scope": "activation.submit activation.read activation.operate",
        }
        return {name: value for name, value in (usual | more).items() if value is not None}

    def token(
        self,
        claims: dict[str, Any],
        *,
        key_id: str = "first",
        algorithm: str = "RS256",
        key: PrivateKey | None = None,
        **header: Any,
    ) -> str:
        """Sign a token."""
        signing = key or self.keys[key_id]
        return jwt.encode(claims, signing, algorithm, headers={"kid": key_id, **header})

    def truth(self, path: str) -> tuple[int, bytes]:
        """Answer as an issuer should."""
        if path.endswith(DISCOVERY):
            host = self.url.removesuffix("/realm")
            document: Any = {"issuer": self.url, "jwks_uri": f"{host}{JWKS}"}
        elif path == JWKS:
            document = {"keys": [public_jwk(key, kid=name) for name, key in self.keys.items()]}
        else:
            return 404, b"{}"
        return 200, json.dumps(document).encode()

    async def reply(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        await self.before_answer()
        return (self.answer or self.truth)(path)

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches it without a network."""

        async def handle(request: httpx.Request) -> httpx.Response:
            status, body = await self.reply(request.url.path)
            return httpx.Response(status, stream=httpx.ByteStream(body))

        return httpx.AsyncClient(transport=httpx.MockTransport(handle))

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        """Serve on loopback; gives the port."""
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self.reply(head.split()[1].decode())
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                    % (status, len(body))
                )
                writer.write(body)
                await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/realm"
        try:
            yield port
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
