"""The language of scripts: what a device, or every device, is told to do.

A script is a list of steps, and each call takes the next one::

    {"equipment": "ABC123", "steps": [{"do": "reset", "acts": true}, {"do": "hang"}]}
    {"share": 0.3, "seed": 7, "steps": [{"do": "answer", "status": 503, "times": null}]}
"""

from email.utils import parsedate_to_datetime
from http import HTTPStatus, client
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from activation.domain.task import is_serial_number

EVERY_DEVICE: Final = "*"

_MESSAGES: Final = {  # as the real system words them
    200: "success",
    404: "The requested equipment is not found",
    500: "Internal provisioning exception",
}


def _must_name_a_device(text: str) -> str:
    if text != EVERY_DEVICE and not is_serial_number(text):
        raise ValueError(f'must be a serial number, or "{EVERY_DEVICE}" for every device')
    return text


def _must_have_a_body(status: int) -> int:
    if status in (204, 205, 304):  # RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5
        raise ValueError("must be a status whose answer has a body")
    return status


def _must_be_a_date(text: str) -> str:
    try:
        parsedate_to_datetime(text)
    except ValueError as error:
        raise ValueError("must be whole seconds or an HTTP date") from error
    return text


Seconds = Annotated[float, Field(ge=0, le=86_400)]
RetryAfter = Annotated[int, Field(ge=0)] | Annotated[str, AfterValidator(_must_be_a_date)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Step(_Strict):
    """What every step can be told.

    Attributes:
        latency_s: How long the work takes. By default as long as an activation usually takes where
            the device is activated, and no time where it is not.
        acts: Whether the device is activated, at the end of the latency. By default it is where
            success was answered, or began to be answered.
        times: How many calls take this step; null: all that come.
    """

    latency_s: Seconds | None = None
    acts: bool | None = None
    times: Annotated[int, Field(ge=1)] | None = 1

    @property
    def activates(self) -> bool:
        """Whether the device is activated."""
        return self._usually_acts() if self.acts is None else self.acts

    def _usually_acts(self) -> bool:
        return True

    def work_s(self, usual_s: float) -> float:
        """Return how long the work takes, given how long an activation usually takes."""
        if self.latency_s is not None:
            return self.latency_s
        return usual_s if self.activates else 0.0


class Answer(_Step):
    """A whole answer: `{"code": status, "message": message}`.

    Attributes:
        message: By default the usual one of the status.
        retry_after: The header of that name, in seconds or as a date (RFC 9110 section 10.2.3).
    """

    do: Literal["answer"] = "answer"
    status: Annotated[int, Field(ge=200, le=599), AfterValidator(_must_have_a_body)] = 200
    message: str | None = None
    retry_after: RetryAfter | None = None

    @property
    def succeeds(self) -> bool:
        """Whether the answer says that the device was activated."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    def _usually_acts(self) -> bool:
        return self.succeeds

    @property
    def text(self) -> str:
        """The message that is sent."""
        if self.message is not None:
            return self.message
        return _MESSAGES.get(self.status) or client.responses.get(self.status, "Unnamed status")


class Hang(_Step):
    """A silence after the work: without end, or followed by success.

    Attributes:
        for_s: How long it is; null: until the caller leaves.
    """

    do: Literal["hang"] = "hang"
    for_s: Seconds | None = None

    def _usually_acts(self) -> bool:
        return self.for_s is not None


class Reset(_Step):
    """A TCP reset, before the answer or in the middle of it."""

    do: Literal["reset"] = "reset"
    at: Literal["start", "middle"] = "start"

    def _usually_acts(self) -> bool:
        return self.at == "middle"


class Half(_Step):
    """Half of the announced body, then an orderly close."""

    do: Literal["half"] = "half"


class Garbage(_Step):
    """Bytes that are no HTTP, or an HTTP answer whose body is no JSON."""

    do: Literal["garbage"] = "garbage"
    instead_of: Literal["http", "json"] = "json"


class Huge(_Step):
    """An answer of more than 1 MiB.

    Attributes:
        body_bytes: How long the body is, at least; null: it never ends.
    """

    do: Literal["huge"] = "huge"
    body_bytes: Annotated[int, Field(gt=1_048_576)] | None = 2_097_152


class WrongType(_Step):
    """A web page with the status 200, as a proxy in between might send it."""

    do: Literal["wrong_type"] = "wrong_type"


Step = Answer | Hang | Reset | Half | Garbage | Huge | WrongType


def _must_be_reachable(steps: list[Step]) -> list[Step]:
    if any(step.times is None for step in steps[:-1]):
        raise ValueError("only the last step may have times null: no later step would be reached")
    return steps


class Script(_Strict):
    """What a device, or every device, is told to do.

    Attributes:
        equipment: A serial number, or `*` for every device.
        steps: Taken in this order, call by call; when all are taken, calls go as usual again.
        share: The chance of a call to take a step; the others go as usual.
        seed: Of the random numbers that decide the share.
    """

    equipment: Annotated[str, AfterValidator(_must_name_a_device)] = EVERY_DEVICE
    steps: Annotated[
        list[Annotated[Step, Field(discriminator="do")]],
        Field(min_length=1),
        AfterValidator(_must_be_reachable),
    ]
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 0
