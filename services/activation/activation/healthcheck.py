"""Asks a service on this machine whether it is ready, for images that hold no curl.

`python -m activation.healthcheck 8000` leaves with 0, or with 1 and a line that says what is wrong.
"""

import http.client
import sys
from typing import Final

_TIMEOUT_S: Final = 4.0  # below the timeout of the health checks that start this


def main() -> None:
    """Ask `/readyz` on the port that the command line names."""
    fault = fault_at(int(sys.argv[1]))
    if fault is not None:
        sys.exit(fault)


def fault_at(port: int) -> str | None:
    """Return what is wrong with the service on a port of this machine, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return None if answer.status == http.HTTPStatus.OK else body


if __name__ == "__main__":
    main()
