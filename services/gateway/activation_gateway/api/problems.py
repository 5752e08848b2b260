"""What goes wrong, as a client sees it: problem details (RFC 9457), decided here alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Final

from fastapi.exceptions import RequestValidationError
from pydantic import Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from activation.errors import KeyConflictError, StoreUnavailableError, TransitionError
from activation.telemetry.logging import get_logger
from activation_gateway.api.address import NotFoundError
from activation_gateway.api.answer import NOT_STORED, answer, body
from activation_gateway.intake import BacklogFullError

MEDIA_TYPE: Final = "application/problem+json"

_MOST_FAULTS: Final = 20  # in one answer
_STORE_RETRY_AFTER_S: Final = 5  # a restarted database usually answers again by then

UNFORESEEN: Final = "The gateway failed to answer; the fault is logged"
STORE_AWAY: Final = "The store of tasks does not answer; ask again later"
BACKLOG_FULL: Final = "Too many tasks are waiting; ask again later"
LINE_FULL: Final = "Too many tasks of this equipment are waiting; ask again later"

log = get_logger()


@body
@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request; `pointer`, `parameter` or `header` says where."""

    detail: Annotated[str, Field(description="What is wrong.")]
    pointer: Annotated[
        str | None, Field(description="Where in the body: a JSON pointer (RFC 6901).")
    ] = None
    parameter: Annotated[str | None, Field(description="Which query parameter.")] = None
    header: Annotated[str | None, Field(description="Which header.")] = None

    def __str__(self) -> str:
        return f"{self.header or self.parameter or self.pointer or 'body'}: {self.detail}"


@body
@dataclass(frozen=True, slots=True)
class Problem:
    """A problem (RFC 9457)."""

    status: Annotated[int, Field(description="The status code of the answer.")]
    title: Annotated[str, Field(description="The status code in words.")]
    detail: Annotated[str, Field(description="What is wrong with this request.")]
    type: Annotated[str, Field(description="Always `about:blank`.")] = "about:blank"
    errors: Annotated[
        Sequence[Fault] | None, Field(description="Every fault that was found, if it has a place.")
    ] = None


class ProblemError(Exception):
    """The request cannot be served, and the client is told why."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults
        self.headers = headers


def invalid(faults: Iterable[Fault]) -> ProblemError:
    """Make the 422 problem that names the faults, of very many the first ones."""
    named = list(islice(faults, _MOST_FAULTS))
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(map(str, named)),
        faults=named,
    )


def answer_to(error: Exception, request: Request) -> Response:
    """Answer a request that ended in an error; what nobody foresaw is logged and not told."""
    if isinstance(error, NotFoundError):
        return answer(error.body, error.body.code, NOT_STORED)
    problem = _as_problem(error)
    if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    shown = Problem(
        status=problem.status,
        title=problem.status.phrase,
        detail=problem.detail,
        errors=problem.faults or None,
    )
    return answer(
        shown, problem.status, problem.headers, media_type=MEDIA_TYPE, leave_out_none=True
    )


def _as_problem(error: Exception) -> ProblemError:
    match error:
        case ProblemError():
            problem = error
        case BacklogFullError():
            problem = ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                LINE_FULL if error.of_equipment else BACKLOG_FULL,
                headers={"Retry-After": str(error.retry_after_s)},
            )
        case StoreUnavailableError():
            problem = ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                STORE_AWAY,
                headers={"Retry-After": str(_STORE_RETRY_AFTER_S)},
            )
        case KeyConflictError():
            problem = invalid([Fault("was used for a different request", header="Idempotency-Key")])
        case TransitionError():
            problem = ProblemError(HTTPStatus.CONFLICT, str(error))
        case RequestValidationError():
            problem = invalid(_query_fault(fault) for fault in error.errors())
        case ClientDisconnect():
            problem = ProblemError(HTTPStatus.BAD_REQUEST, "The client left")  # nobody reads it
        case HTTPException():
            problem = _from_router(error)
        case _:
            problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, UNFORESEEN)
    return problem


def _query_fault(fault: ErrorDetails) -> Fault:
    """Translate what pydantic says of a query; nothing else is validated by it."""
    unknown = fault["type"] == "extra_forbidden"
    why = "is not known" if unknown else fault["msg"].removeprefix("Value error, ")
    return Fault(why, parameter=str(fault["loc"][1]))


def _from_router(error: HTTPException) -> ProblemError:
    """Say in full what Starlette's router says with a status code alone."""
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address; see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not know this method; see /docs",
    }
    status = HTTPStatus(error.status_code)
    return ProblemError(status, details.get(status, error.detail), headers=error.headers)
