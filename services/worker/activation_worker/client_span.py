"""The span of a request to the handler.

Name and attributes: OpenTelemetry semantic conventions, "HTTP spans", client.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from typing import Final

from yarl import URL

from activation.telemetry.tracing import Attributes, calling, describe, fail, is_recorded
from activation_worker.transport import NoReplyError

_NOTHING: Final = nullcontext()


def requesting(method: str, url: str) -> AbstractContextManager[None]:
    """Record a request while the context lasts."""
    return _requesting(method, URL(url, encoded=True)) if is_recorded() else _NOTHING


@contextmanager
def _requesting(method: str, url: URL) -> Iterator[None]:
    asked: Attributes = {
        "http.request.method": method,
        "url.full": str(url.with_user(None)),  # what stands there is secret
        "server.address": url.host or "",
        "server.port": url.port or 0,
    }
    with calling(method, asked):
        try:
            yield
        except NoReplyError as error:
            fail(error.reason.value)
            raise


def describe_reply(status: int) -> None:
    """Say in the span of a request what was answered."""
    if not is_recorded():
        return
    describe({"http.response.status_code": status})
    if status >= HTTPStatus.BAD_REQUEST:
        fail(str(status))
