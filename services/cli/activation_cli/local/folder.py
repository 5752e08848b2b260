"""The data folder: one system at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activation.errors import StartError

_WAY_OUT = "name another with --data-dir or ACTIVATION_DATA_DIR"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other systems out of it.

    The kernel drops the lock with the process, however that ends.

    Raises:
        StartError: It cannot be used, or another system uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StartError(
            f"cannot use the data folder {folder}: {error.strerror}; {_WAY_OUT}"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"another system runs in the data folder {folder}: stop it, or {_WAY_OUT}"
            ) from error
        yield
