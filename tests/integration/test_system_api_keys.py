"""API keys at a gateway in a process of its own, with the command line in front of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activation.settings import EXIT_CONFIGURATION
from activation_cli.exits import Exit
from activation_gateway.api_keys import new_key
from tests.support.guarded_gateway import ask, command, guarded_gateway, write_keys
from tests.support.service import Service, eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Service]:
    """A gateway that lets nobody in, until the file is changed."""
    write_keys(tmp_path)
    service = guarded_gateway(tmp_path)
    await service.start()
    yield service
    service.kill()


async def test_keys_are_rotated_without_a_restart_and_never_shown(
    gateway: Service, tmp_path: Path
) -> None:
    """The old and the new key hold together, then the new one alone; no log holds either."""
    old, new = new_key(), new_key()

    async def answers(old_is: int, new_is: int) -> None:
        async def seen() -> bool:
            found = ((await ask(gateway, old)).status_code, (await ask(gateway, new)).status_code)
            return found == (old_is, new_is)

        await eventually(seen, what=f"{old_is} for the old key and {new_is} for the new one")

    await answers(401, 401)
    write_keys(tmp_path, old)
    await answers(200, 401)
    write_keys(tmp_path, old, new)
    await answers(200, 200)
    write_keys(tmp_path, new)
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
    gateway = guarded_gateway(tmp_path)
    gateway.launch()

    try:
        exit_code = await gateway.wait_ended()
    finally:
        gateway.kill()

    assert exit_code == EXIT_CONFIGURATION
    assert f"the API keys in {tmp_path}/keys.yaml: it cannot be read" in gateway.log_lines()[-1]
