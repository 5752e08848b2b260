"""The mock handler's own interface: what it is told to do, and its ledger of every call."""

from collections.abc import Mapping
from typing import Any

import httpx

from activation_cli.exits import CommandError, Exit
from activation_cli.verify.accountant import Row


class MockHandler:
    """The mock handler at an address.

    Every method may raise `httpx.HTTPError`.
    """

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def play(
        self, *steps: Mapping[str, Any], device: str = "*", share: float = 1.0, seed: int = 0
    ) -> None:
        """Have calls for a device, or a share of all, meet the steps of a script."""
        script = {"equipment": device, "steps": steps, "share": share, "seed": seed}
        (await self._http.post(f"{self._url}/script", json=script)).raise_for_status()

    async def play_nothing(self) -> None:
        """Have all calls succeed again."""
        (await self._http.delete(f"{self._url}/script")).raise_for_status()

    async def calls(self) -> list[Row]:
        """Return the ledger, in the order in which calls came.

        Raises:
            CommandError: There is none at the address.
        """
        answer = await self._http.get(f"{self._url}/ledger")
        try:
            calls: list[Row] = answer.raise_for_status().json()["calls"]
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"there is no ledger at {self._url}: --ledger must be the address of the mock "
                "handler, or be left out",
                Exit.USAGE,
            ) from error
        return calls
