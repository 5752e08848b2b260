"""RabbitMQ: what is declared there, and a session that comes back by itself."""

from activation.broker.broker import Broker
from activation.broker.message import UnreadableMessageError, read_message, write_message
from activation.broker.ports import Delivery, Session
from activation.broker.rabbitmq import RabbitMQ
from activation.broker.topology import Queues

__all__ = [
    "Broker",
    "Delivery",
    "Queues",
    "RabbitMQ",
    "Session",
    "UnreadableMessageError",
    "read_message",
    "write_message",
]
