"""Prometheus as its HTTP API shows it: https://prometheus.io/docs/prometheus/latest/querying/api/."""

import time
from types import TracebackType
from typing import Any, Final, Self

import httpx

_EXEMPLARS_S: Final = 600.0  # how far back exemplars are looked for


class Prometheus:
    """A running Prometheus.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the samples of an expression as it is now, or was at a time."""
        when = {} if at is None else {"time": at}
        found: list[dict[str, Any]] = (await self._get("query", query=expression, **when))["result"]
        return found

    async def over_time(
        self, expression: str, begin: float, end: float, step_s: float = 1.0
    ) -> list[dict[str, Any]]:
        """Return the series of an expression between two times."""
        found: list[dict[str, Any]] = (
            await self._get("query_range", query=expression, start=begin, end=end, step=step_s)
        )["result"]
        return found

    async def number(self, expression: str) -> float:
        """Return the one number that an expression has; NaN when it has none."""
        samples = await self.query(expression)
        assert len(samples) <= 1, f"{expression} has more than one number: {samples}"
        return float(samples[0]["value"][1]) if samples else float("nan")

    async def shows(self, expression: str) -> bool:
        """Tell whether an expression has a number in any of its samples."""
        return any(sample["value"][1] != "NaN" for sample in await self.query(expression))

    async def exemplars(self, series: str) -> list[dict[str, Any]]:
        """Return the latest exemplars of some series."""
        now = time.time()
        found = await self._get("query_exemplars", query=series, start=now - _EXEMPLARS_S, end=now)
        return [exemplar for each in found for exemplar in each["exemplars"]]

    async def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped."""
        found: list[dict[str, Any]] = (await self._get("targets", state="active"))["activeTargets"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Return the rules that are loaded, for recording and for alerts."""
        groups = (await self._get("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def _get(self, what: str, **parameters: Any) -> Any:
        answer = await self._http.get(f"/api/v1/{what}", params=parameters)
        assert answer.is_success, answer.text
        return answer.json()["data"]
