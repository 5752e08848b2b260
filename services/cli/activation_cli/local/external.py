"""Servers that the user named: whether they can be used is found out before anything starts."""

import logging
from typing import Final
from urllib.parse import urlsplit

from activation.broker import Queues, RabbitMQ
from activation.errors import ActivationError, StartError
from activation.store import open_store

_TIMEOUT_S: Final = 5.0


async def check_broker(url: str) -> None:
    """Connect to a RabbitMQ and declare what the services need there.

    Raises:
        StartError: It cannot be used.
    """
    if not _is_amqp(url):
        raise StartError("RABBITMQ_URL must look like amqp://user:password@host/vhost")
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it logs is in the error, too
    broker = RabbitMQ(url, name="activation run", queues=Queues(), timeout_s=_TIMEOUT_S)
    try:
        async with broker.open_session():
            return
    except ActivationError as error:
        raise StartError(f"RABBITMQ_URL cannot be used: {error}") from error


async def check_database(url: str) -> None:
    """Connect to a database and bring its tables up to date.

    Raises:
        StartError: It cannot be used.
    """
    try:
        store = await open_store(url, timeout_s=_TIMEOUT_S)
        try:
            await store.ping()
        finally:
            await store.close()
    except ActivationError as error:
        raise StartError(f"DATABASE_URL cannot be used: {error}") from error


def _is_amqp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False
