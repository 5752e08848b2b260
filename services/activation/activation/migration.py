"""`activation-migrate`: brings the schema up to date and leaves, as a job before the services."""

import asyncio

from activation.errors import StartError
from activation.server import stop_on_signals
from activation.settings import ServiceSettings, StoreSettings, read_settings, refuse_start
from activation.start import migrate_patiently
from activation.telemetry.logging import configure_logging, get_logger

log = get_logger()


class MigrationSettings(ServiceSettings, StoreSettings):
    """Read once, in `main()`."""


def main() -> None:
    """Migrate, however long the database takes to come up."""
    settings = read_settings(MigrationSettings)
    configure_logging(
        "migration",
        level=settings.log_level,
        style=settings.log_format,
        secret_words=settings.secret_words,
    )
    try:
        asyncio.run(_migrate(settings))
    except* StartError as errors:
        refuse_start(errors)


async def _migrate(settings: MigrationSettings) -> None:
    found = await migrate_patiently(settings, stop_on_signals())
    if found is None:
        raise SystemExit("stopped before the database came up")
    log.info("schema_checked", found=found.value)
