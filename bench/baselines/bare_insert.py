"""FastAPI and one insert for each request: the plainest gateway that keeps what it accepts."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

PORT, DSN = int(sys.argv[1]), sys.argv[2]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(DSN, min_size=10, max_size=10) as pool:
        await pool.execute(
            "create table if not exists bare (id uuid primary key, equipment text, state text,"
            " timeout_s int, parameters text, accepted_at timestamptz default now())"
        )
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    timeoutInSeconds: int = 60  # noqa: N815  # the contract's name
    parameters: dict[str, Any]


@app.post("/api/v1/equipment/cpe/{id}")
async def submit(id: str, request: Request) -> dict[str, Any]:  # noqa: A002  # the contract's name
    task_id = uuid4()
    await app.state.pool.execute(
        "insert into bare (id, equipment, state, timeout_s, parameters)"
        " values ($1, $2, 'queued', $3, $4)",
        task_id,
        id,
        request.timeoutInSeconds,
        json.dumps(request.parameters),
    )
    return {"code": 200, "taskId": str(task_id)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
