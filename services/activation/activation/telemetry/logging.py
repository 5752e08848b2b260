"""Logs: an event is a name with fields. JSON in a pod, readable on a terminal.

Levels are for the reader on call: error = someone must act, warning = we coped, info = a task's
milestones.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, Literal

import orjson
import structlog
from opentelemetry import trace

from activation.telemetry.masking import MASK, Masker

Logger = structlog.typing.FilteringBoundLogger

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# The locals of a frame that failed may hold the parameters of a task, secrets and all.
_TRACEBACK: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
_OWN_FIELDS: Final = frozenset({"event", "level", "timestamp", "service", "idempotency_key"})


def configure_logging(
    service: str,
    *,
    level: str = "info",
    style: Literal["auto", "json", "console"] = "auto",
    secret_words: Iterable[str] = (),
) -> None:
    """Send the logs of this process, and of its libraries, to standard output.

    Args:
        service: The name that stands on each line.
        level: The least important level that is shown.
        style: `auto` is readable on a terminal and JSON elsewhere.
        secret_words: Fields with such a word in their name are masked: a net under the types.
    """
    readable = style == "console" or (style == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_service(service),
        _name_trace,
        _mask_fields(Masker(secret_words)),
    ]
    if readable:
        ending: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        ending = [structlog.processors.ExceptionRenderer(_TRACEBACK), _render_json]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    for noisy in ("aiormq", "aio_pika"):  # what matters of it is logged by our own connection
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)


def get_logger() -> Logger:
    """Return a logger; fields may be bound to it."""
    logger: Logger = structlog.get_logger()
    return logger


def _name_service(service: str) -> structlog.typing.Processor:
    def name(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["service"] = service
        return event

    return name


def _name_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Name the trace of the work under way, so that a log line leads to it."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _mask_fields(masker: Masker) -> structlog.typing.Processor:
    is_secret = lru_cache(maxsize=1024)(masker.is_secret)  # our own names: few, and on every line

    def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        for field in event.keys() - _OWN_FIELDS:
            event[field] = MASK if is_secret(field) else masker.mask(event[field])
        return event

    return mask


def _render_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # what orjson cannot write, say half a surrogate, must not end a task
        return json.dumps(event, default=str)
