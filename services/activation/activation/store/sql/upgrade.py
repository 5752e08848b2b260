"""Alembic, set up for our migrations; there is no ini file."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from activation.store.sql import migrations


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the migrations, which run on the connection."""
    config = Config()
    config.set_main_option("script_location", str(files(migrations)))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Apply the missing migrations."""
    command.upgrade(alembic_config(connection), "head")
