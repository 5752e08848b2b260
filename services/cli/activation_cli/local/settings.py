"""What a local system can be told."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Where a local system is, and what it uses instead of its own.

    Attributes:
        folder: Where everything is kept: tasks, queues, logs.
        port: Of the gateway.
        handler_seconds: How long the mock handler takes for an activation.
        rabbitmq_url: A RabbitMQ to use; a private one by default.
        database_url: A database to use; SQLite in the folder by default.
        api_key: For the samples, where ACTIVATION_API_KEYS_FILE makes the gateway ask for one.
    """

    folder: Path
    port: int = 8000
    handler_seconds: float = 3.0
    rabbitmq_url: str | None = None
    database_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
