"""What FastAPI alone can do: validate the body and answer."""

import sys
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Request(BaseModel):
    timeoutInSeconds: int = 60  # noqa: N815  # the contract's name
    parameters: dict[str, Any]


@app.post("/api/v1/equipment/cpe/{id}")
async def submit(id: str, request: Request) -> dict[str, Any]:  # noqa: A002  # the contract's name
    return {"code": 200, "taskId": str(uuid4())}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
