"""The `Idempotency-Key` header, after the IETF draft of that name."""

import hashlib
import json
import re
from http import HTTPStatus
from typing import Final

from activation.domain.task import IdempotencyKey
from activation_gateway.api.problems import Fault, ProblemError
from activation_gateway.api.submission import Submission

KEY_PATTERN: Final = "^[!-~]{1,255}$"  # visible ASCII; a quoted string is taken with its quotes

_KEY: Final = re.compile(KEY_PATTERN.strip("^$"))


def read_key(header: str, equipment: str, submission: Submission) -> IdempotencyKey:
    """Read the key and bind it to what is asked for.

    Raises:
        ProblemError: It is no key.
    """
    if not _KEY.fullmatch(header):
        fault = Fault("must be 1 to 255 visible ASCII characters", header="Idempotency-Key")
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(fault), faults=[fault])
    return IdempotencyKey(header, _fingerprint(equipment, submission))


def _fingerprint(equipment: str, submission: Submission) -> str:
    """Digest a request; the order of members and the form of `parameters` make no difference."""
    content = json.dumps([equipment, submission.timeout_s, submission.parameters], sort_keys=True)
    return hashlib.sha256(content.encode("ascii")).hexdigest()
