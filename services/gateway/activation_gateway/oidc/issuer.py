"""The keys of an issuer: found, fetched, kept, and fetched again when they change."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import httpx
import jwt

from activation.errors import ActivationError
from activation.telemetry.logging import get_logger
from activation_gateway.credentials import IssuerAwayError
from activation_gateway.oidc.jwks import Keys, usable_keys

REFRESH_S: Final = 300.0  # also how long a token of a key that the issuer has withdrawn is taken
PAUSE_S: Final = 10.0  # at least, from one fetch to the next, whatever tokens ask for
KEEP_S: Final = 86_400.0  # while the issuer is away; most tokens have expired long before
FETCH_S: Final = 5.0  # for discovery and keys together
LARGEST_BYTES: Final = 65_536  # of an answer; a key has about 500, or 3,000 with certificates

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}  # no gzip bombs

log = get_logger()


class _IssuerError(ActivationError):
    """The issuer did not give its keys; the message says why."""


class IssuerKeys:
    """Knows the keys that an issuer signs with.

    Args:
        http: Asks the issuer; closed when `run` ends.
        issuer: Its URL.
        jwks_url: Where its keys are; None to ask the issuer (OpenID Connect Discovery 1.0).
        monotonic_s: Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        issuer: str,
        jwks_url: str | None,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._http = http
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._monotonic_s = monotonic_s
        self._keys: Keys = {}
        self._good_until_s = monotonic_s()
        self._rest_until_s = monotonic_s()
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()
        self._fault: str | None = None

    async def run(self) -> None:
        """Fetch the keys, again and again, until cancelled."""
        async with self._http:
            while True:
                await self._fetch()
                fetched, self._fetched = self._fetched, asyncio.Event()
                fetched.set()
                self._wanted.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S if self._fault is None else PAUSE_S):
                        await self._wanted.wait()

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return a key; one that is not known is looked for at the issuer, now and then.

        However many ask for keys that do not exist, one fetch serves them all, and none holds up
        those who ask for a known one.

        Args:
            key_id: None finds the only key for the algorithm (OpenID Connect Core section 10.1).
            algorithm: What it must be good for.

        Returns:
            None if the issuer has no such key.

        Raises:
            IssuerAwayError: No keys are known, or they are too old.
        """
        key = self._known(key_id, algorithm)
        if key is None and self._monotonic_s() >= self._rest_until_s:
            fetched = self._fetched
            self._wanted.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(FETCH_S):
                    await fetched.wait()
            key = self._known(key_id, algorithm)
        if not self._keys or self._monotonic_s() >= self._good_until_s:
            raise IssuerAwayError(round(PAUSE_S))
        return key

    def _known(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        if key_id is not None:
            return self._keys.get((key_id, algorithm))
        fitting = [key for (_, name), key in self._keys.items() if name == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    async def _fetch(self) -> None:
        """Take what the issuer has; if that cannot be had, say so once and keep what there was."""
        fault = None
        try:
            async with asyncio.timeout(FETCH_S):
                self._take(usable_keys(await self._get(await self._keys_url())))
        except TimeoutError:
            fault = f"no answer within {FETCH_S:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fault = f"no answer: {str(error) or type(error).__name__}"
        except _IssuerError as error:
            fault = str(error)
        if fault is not None and fault != self._fault:
            log.error("issuer_keys_broken", issuer=self._issuer, fault=fault)
        self._fault = fault
        self._rest_until_s = self._monotonic_s() + PAUSE_S

    def _take(self, keys: Keys) -> None:
        if keys.keys() != self._keys.keys():
            ids = sorted({key_id or "" for key_id, _ in keys})
            log.info("issuer_keys_read", issuer=self._issuer, ids=ids)
        self._keys = keys
        self._good_until_s = self._monotonic_s() + KEEP_S
        if not keys:
            raise _IssuerError("it publishes no key that can be used")

    async def _keys_url(self) -> str:
        """Return where the keys are.

        OpenID Connect Discovery 1.0 section 4.3: a document of another issuer must not be used.
        """
        if self._jwks_url is not None:
            return self._jwks_url
        url = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        document = await self._get(url)
        if document.get("issuer") != self._issuer:
            raise _IssuerError(f"{url} is about another issuer")
        found = document.get("jwks_uri")
        if not isinstance(found, str):
            raise _IssuerError(f"{url} has no jwks_uri")
        if self._issuer.startswith("https:") and not found.startswith("https:"):
            raise _IssuerError(f"{url} has a jwks_uri without TLS")
        return found

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._http.stream("GET", url, headers=_HEADERS) as response:
            if response.status_code != HTTPStatus.OK:
                raise _IssuerError(f"{url} answers {response.status_code}")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > LARGEST_BYTES:
                    raise _IssuerError(f"{url} answers with more than {LARGEST_BYTES} bytes")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise _IssuerError(f"{url} answers with no JSON object")
        return document
