"""A gateway in a process of its own that asks who is there, and the command line before it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from activation_gateway.api_keys import ApiKey, hash_of
from activation_gateway.scopes import Scope
from tests.support.service import Service

_PROGRAM: Final = Path(sys.executable).with_name("activation")


def write_keys(folder: Path, *keys: str) -> None:
    """Let these keys in, and no others, in one step."""
    entries = (
        {"id": f"key-{number}", "sha256": hash_of(key), "scopes": list(Scope)}
        for number, key in enumerate(keys, start=1)
    )
    lines = "".join(f"{ApiKey.model_validate(entry).line()}\n" for entry in entries)
    fresh = folder / "keys.new"
    fresh.write_text(lines or "[]")
    fresh.rename(folder / "keys.yaml")


def guarded_gateway(folder: Path, **more: str) -> Service:
    """Return a gateway without a broker, whose API keys are those of `write_keys`."""
    settings = {
        "host": "127.0.0.1",
        "log_format": "json",
        "log_level": "debug",
        "database_url": f"sqlite:///{folder}/store.db",
        "amqp_url": "amqp://127.0.0.1:1/",
        "api_keys_file": f"{folder}/keys.yaml",
        "api_keys_poll_s": "0.05",
        **more,
    }
    return Service("gateway", "gateway", folder, settings)


async def ask(gateway: Service, bearer: str) -> httpx.Response:
    """Ask for its state with a key or a token."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as http:
        return await http.get("/api/v1/status", headers={"Authorization": f"Bearer {bearer}"})


def command(gateway: Service, bearer: str | None, *args: str) -> subprocess.CompletedProcess[str]:
    """Run `activation` with a key or a token, or with neither."""
    variables = {"ACTIVATION_URL": gateway.url, "NO_PROXY": "127.0.0.1"}
    if bearer is not None:
        variables["ACTIVATION_API_KEY"] = bearer
    return subprocess.run(
        [_PROGRAM, *args],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
