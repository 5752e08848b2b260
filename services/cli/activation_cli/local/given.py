"""Servers that the user named: whether they can be used is found out before anything starts."""

import asyncio
from contextlib import aclosing
from typing import Final

from activation.broker import Queues, RabbitMQ
from activation.errors import BrokerUnavailableError, StartError, StoreUnavailableError
from activation.store import open_store

_TIMEOUT_S: Final = 5.0
