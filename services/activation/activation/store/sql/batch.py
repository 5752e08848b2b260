"""Many rows in one parameter.

A batch travels as one JSON array, so a statement's text does not depend on how many rows it gets:
it is compiled and prepared once, and a group commit costs one round trip for each statement.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, String, Subquery, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

Types = Mapping[str, type[TypeEngine[Any]] | TypeEngine[Any]]


def encode(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows for the parameter `batch`; ids must come as hex, which both databases read."""
    return orjson.dumps(list(rows)).decode()


def encode_ids(ids: Iterable[UUID]) -> str:
    """Write ids for the parameter `batch`."""
    return encode({"id": one.hex} for one in ids)


def batch(dialect: str, types: Types, *, parameter_name: str = "batch") -> Subquery:
    """Return the rows of a parameter as a table with these columns."""
    parameter = bindparam(parameter_name, type_=String)
    if dialect == "postgresql":
        elements = func.jsonb_array_elements(cast(parameter, JSONB)).table_valued(
            column("value", JSONB), name="element"
        )
        member = elements.c.value.op("->>")
        read: list[ColumnElement[Any]] = [member(name) for name in types]
    else:
        elements = func.json_each(parameter).table_valued("value", name="element")
        read = [func.json_extract(elements.c.value, f"$.{name}") for name in types]
    columns = [
        cast(value, kind).label(name)
        for value, (name, kind) in zip(read, types.items(), strict=True)
    ]
    return select(*columns).select_from(elements).subquery(parameter_name)
