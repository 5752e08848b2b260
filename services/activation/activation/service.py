"""What every process of ours does before and after its work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from activation.errors import StartError
from activation.server import stop_on_signals
from activation.settings import ServiceSettings, read_settings, refuse_start
from activation.telemetry.logging import configure_logging, get_logger
from activation.telemetry.tracing import tracing

log = get_logger()

_Settings = TypeVar("_Settings", bound=ServiceSettings)


def run_service(
    name: str,
    kind: type[_Settings],
    serve: Callable[[_Settings, asyncio.Event], Awaitable[None]],
) -> None:
    """Read the settings and do the work of a service until SIGTERM or SIGINT.

    Args:
        name: Of the service, as logs show it; traces put `activation-` before it.
        kind: The class of its settings.
        serve: Its work, which ends soon after the event is set.

    Raises:
        SystemExit: It cannot start; one line on standard error has said why.
    """
    settings = read_settings(kind)
    configure_logging(
        name,
        level=settings.log_level,
        style=settings.log_format,
        secret_words=settings.secret_words,
    )
    try:
        uvloop.run(_traced(name, settings, serve))
    except* StartError as errors:
        refuse_start(errors)


async def _traced(
    name: str,
    settings: _Settings,
    serve: Callable[[_Settings, asyncio.Event], Awaitable[None]],
) -> None:
    async with tracing(f"activation-{name}", instance=settings.instance):
        await serve(settings, stop_on_signals())
    log.info("stopped")
