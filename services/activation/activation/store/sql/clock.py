"""One time for all processes: the database's own."""

import time
from datetime import UTC, datetime, timedelta

_TRUSTED_FOR_S = 30.0


class DatabaseClock:
    """The database's time, carried on by this process's monotonic clock between readings.

    Leases compare moments that different machines wrote. A machine whose clock is wrong, or is
    stepped, would reap the leases of others; so nobody's own clock counts.
    """

    def __init__(self) -> None:
        self._reading, self._read_at = datetime.now(UTC), time.monotonic()
        self._asked = False

    @property
    def stale(self) -> bool:
        """Whether the database should be asked again."""
        return not self._asked or time.monotonic() - self._read_at >= _TRUSTED_FOR_S

    def set(self, reading: datetime) -> None:
        """Take over a fresh reading of the database's clock."""
        self._reading, self._read_at, self._asked = reading, time.monotonic(), True

    def now(self) -> datetime:
        """Return the database's time."""
        return self._reading + timedelta(seconds=time.monotonic() - self._read_at)
