"""Encrypted parameters, with gateway, worker and handler as processes."""

from pathlib import Path
from typing import Final

import pytest

from activation.encryption import EncryptionKey, new_encryption_key
from tests.integration.test_system_secrets import accepted, assert_unmarked, published
from tests.support.service import eventually
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

MARK: Final = "canary7f3a"


def write(path: Path, *keys: EncryptionKey) -> None:
    """Write a file of keys, in one step."""
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(f"{key.line()}\n" for key in keys))
    fresh.rename(path)


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("store.db*"))


async def test_parameters_are_on_no_disk_and_keys_change_without_a_restart(
    tmp_path: Path, amqp_url: str
) -> None:
    """A marked secret is in neither database, queue nor log; old tasks and new ones are done."""
    path, old, new = tmp_path / "keys.yaml", new_encryption_key("old"), new_encryption_key("new")
    write(path, old)
    async with System(
        tmp_path,
        amqp_url,
        f"sqlite:///{tmp_path}/store.db",
        workers=0,
        encryption_keys_file=path,
        encryption_keys_poll_s=0.05,
    ) as system:
        parameters = {"password": f"{MARK}-password", "vlan": f"{MARK}-vlan"}
        first = await accepted(system, "DEVICE1", parameters)
        messages = await published(amqp_url, count=1)
        write(path, new, old)

        async def rotated() -> bool:
            lines = system.gateway.log_lines()
            return sum("encryption_keys_read" in line for line in lines) > 1

        await eventually(rotated, what="the new key")
        second = await accepted(system, "DEVICE2", parameters)
        await system.add_worker().start()
        await system.wait_all_ended()
        kept = on_disk(tmp_path)
        tasks = [await system.task(task_id) for task_id in (first, second)]
        calls = await system.calls()

    assert [task["state"] for task in tasks] == ["succeeded", "succeeded"]
    assert [task["parameters"]["vlan"] for task in tasks] == [f"{MARK}-vlan"] * 2
    assert sorted(calls[0]["parameters"]) == ["password", "vlan"]
    assert b"aes256gcm:old:" in kept
    assert b"aes256gcm:new:" in kept
    assert MARK.encode() not in kept
    assert_unmarked("messages", messages)
    for service in system.services:
        assert_unmarked(service.name, service.log_lines())
