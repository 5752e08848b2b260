"""RabbitMQ: what is declared there, and a connection that comes back by itself."""

from activation.broker.connection import Broker, Session
from activation.broker.delivery import Delivery
from activation.broker.message import UnreadableMessageError, read_message, write_message
from activation.broker.topology import Queues

__all__ = [
    "Broker",
    "Delivery",
    "Queues",
    "Session",
    "UnreadableMessageError",
    "read_message",
    "write_message",
]
