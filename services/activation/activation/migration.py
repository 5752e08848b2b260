"""`activation-migrate`: brings the schema up to date and leaves, as a job before the services."""

import asyncio

from activation.service import run_service
from activation.settings import ServiceSettings, StoreSettings
from activation.start import migrate_patiently
from activation.telemetry.logging import get_logger

log = get_logger()


class MigrationSettings(ServiceSettings, StoreSettings):
    """Read once, in `main()`."""


def main() -> None:
    """Migrate, however long the database takes to come up."""
    run_service("migration", MigrationSettings, _migrate)


async def _migrate(settings: MigrationSettings, stop: asyncio.Event) -> None:
    found = await migrate_patiently(settings, stop)
    if found is None:
        raise SystemExit("stopped before the database came up")
    log.info("schema_checked", found=found.value)
