"""The way of the schema through the versions, by Alembic.

Old code must run on the new schema: a migration only adds (`pre`), or removes what no running
version uses any more (`post`).
"""

from functools import cache
from importlib.resources import files


@cache
def revisions() -> tuple[str, ...]:
    """Return the migrations' numbers, oldest first."""
    names = (file.name for file in files(f"{__name__}.versions").iterdir())
    return tuple(sorted(name.partition("_")[0] for name in names if name[:1].isdigit()))
