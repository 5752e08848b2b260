"""API keys at a gateway in a process of its own, with the command line in front of it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from activation.settings import EXIT_CONFIGURATION
from activation_cli.exits import Exit
from activation_gateway.api_keys import ApiKey, hash_of, new_key
from activation_gateway.scopes import Scope
from tests.support.service import Service, eventually

pytestmark = pytest.mark.timeout(120)

PROGRAM: Final = Path(sys.executable).with_name("activation")


def write(path: Path, *keys: str) -> None:
    """Write a file that lets these keys in, in one step."""
    entries = (
        {"id": f"key-{number}", "sha256": hash_of(key), "scopes": list(Scope)}
        for number, key in enumerate(keys, start=1)
    )
    lines = "".join(f"{ApiKey.model_validate(entry).line()}\n" for entry in entries)
    fresh = path.with_suffix(".new")
    fresh.write_text(lines or "[]")
    fresh.rename(path)


def gateway_of(folder: Path) -> Service:
    """Return a gateway without a broker, whose keys are in `keys.yaml`."""
    settings = {
        "host": "127.0.0.1",
        "log_format": "json",
        "log_level": "debug",
        "database_url": f"sqlite:///{folder}/store.db",
        "amqp_url": "amqp://127.0.0.1:1/",
        "api_keys_file": f"{folder}/keys.yaml",
        "api_keys_poll_s": "0.05",
    }
    return Service("gateway", "gateway", folder, settings)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Service]:
    """A gateway that lets nobody in, until the file is changed."""
    write(tmp_path / "keys.yaml")
    service = gateway_of(tmp_path)
    await service.start()
    yield service
    service.kill()


async def status_for(gateway: Service, key: str) -> int:
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as http:
        answer = await http.get("/api/v1/status", headers={"Authorization": f"Bearer {key}"})
    return answer.status_code


def command(gateway: Service, key: str | None, *args: str) -> subprocess.CompletedProcess[str]:
    variables = {"ACTIVATION_URL": gateway.url, "NO_PROXY": "127.0.0.1"}
    if key is not None:
        variables["ACTIVATION_API_KEY"] = key
    return subprocess.run(
        [PROGRAM, *args],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def test_keys_are_rotated_without_a_restart_and_never_shown(
    gateway: Service, tmp_path: Path
) -> None:
    """The old and the new key hold together, then the new one alone; no log holds either."""
    old, new = new_key(), new_key()

    async def answers(old_is: int, new_is: int) -> None:
        async def seen() -> bool:
            found = (await status_for(gateway, old), await status_for(gateway, new))
            return found == (old_is, new_is)

        await eventually(seen, what=f"{old_is} for the old key and {new_is} for the new one")

    await answers(401, 401)
    write(tmp_path / "keys.yaml", old)
    await answers(200, 401)
    write(tmp_path / "keys.yaml", old, new)
    await answers(200, 200)
    write(tmp_path / "keys.yaml", new)
    await answers(401, 200)

    denied = await asyncio.to_thread(command, gateway, old, "status")
    submitted = await asyncio.to_thread(command, gateway, new, "submit", "ABC123", "--json")
    nobody = await asyncio.to_thread(command, gateway, None, "status")
    assert (denied.returncode, nobody.returncode) == (Exit.DENIED, Exit.DENIED)
    assert submitted.returncode == Exit.DONE, submitted.stderr
    assert gateway.is_ready()

    said = "".join([*gateway.log_lines(), denied.stderr, denied.stdout, submitted.stdout])
    assert "api_keys_read" in said
    assert old not in said
    assert new not in said
    assert "api_keys_broken" not in said


async def test_gateway_without_its_file_does_not_start(tmp_path: Path) -> None:
    """Rather than ask nobody for a key; the line says which file."""
    gateway = gateway_of(tmp_path)
    gateway.launch()

    try:
        exit_code = await gateway.wait_ended()
    finally:
        gateway.kill()

    assert exit_code == EXIT_CONFIGURATION
    assert f"the API keys in {tmp_path}/keys.yaml: it cannot be read" in gateway.log_lines()[-1]
