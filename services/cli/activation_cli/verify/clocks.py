"""Clocks of single processes that can be stepped, by libfaketime: only the time of day changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from activation.errors import StartError

_LIBRARIES: Final = Path("/usr/lib")


def steppable(file: Path) -> Mapping[str, str]:
    """Return the variables that have a new process read how far its clock is off from a file.

    Raises:
        StartError: libfaketime is missing.
    """
    set_clock(file, by_s=0)
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until it is read again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(file: Path, *, by_s: int) -> None:
    """Have the process that reads a file take its clock for so many seconds fast, or slow."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{by_s:+d}\n", encoding="ascii")
    fresh.replace(file)


def _library() -> Path:
    for found in sorted(_LIBRARIES.glob("*/faketime/libfaketimeMT.so.1")):
        return found
    raise StartError(
        "libfaketime is missing, without which no clock can be stepped: package faketime"
    )
