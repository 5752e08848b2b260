"""The file of API keys: what may stand in it, and what becomes of its changes."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from activation.errors import StartError
from activation.key_file import KeyFile, KeyFileError
from activation_gateway.api_keys import ApiKey, hash_of, new_key, read_keys
from activation_gateway.rate_limit import RateLimit, TokenBucket
from activation_gateway.scopes import Scope
from tests.support.world import VIRTUAL_TIME

HASH = hash_of("key")
OTHER_HASH = hash_of("other")


def file_of(*entries: dict[str, Any]) -> bytes:
    """Write a file; JSON is YAML."""
    usual = {"id": "crm", "sha256": HASH, "scopes": ["submit"]}
    return json.dumps([usual | entry for entry in entries]).encode()


def test_keys_are_read_from_yaml_as_people_write_it() -> None:
    """Everything but id, hash and scopes may be left out."""
    first, second = read_keys(
        f"""
        # of the order system
        - {{id: crm, sha256: {HASH}, scopes: [submit, read]}}
        - id: desk
          sha256: {OTHER_HASH}
          scopes: [operate]
          expires: 2027-01-31T00:00:00Z
          ratePerSecond: 2.5
          burst: 10
        """.encode()
    )

    assert first.scopes == {Scope.SUBMIT, Scope.READ}
    assert (first.expires, first.limit) == (None, None)
    assert second.expires == datetime(2027, 1, 31, tzinfo=UTC)
    assert second.limit == RateLimit(2.5, 10)


def test_entry_is_read_as_it_was_written() -> None:
    """`activation keys new` writes a line of the file."""
    [key] = read_keys(file_of({"expires": "2027-01-31T00:00:00Z", "ratePerSecond": 3}))

    assert [key] == read_keys(f"# keys\n{key.line()}\n".encode())


def test_burst_is_a_seconds_worth_at_least_one() -> None:
    """A limit without a burst is not a limit that lets nothing through."""
    keys = read_keys(
        file_of(
            {"ratePerSecond": 0.1},
            {"id": "b", "sha256": OTHER_HASH, "ratePerSecond": 50},
        )
    )

    assert [key.limit and key.limit.burst for key in keys] == [1, 50]


def test_empty_list_lets_nobody_in() -> None:
    """So that the last key can be taken away."""
    assert read_keys(b"[]") == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "it must be a list of keys"),
        (b"keys: []", "it must be a list of keys"),
        (b"- {id: crm", "it cannot be read as YAML; see line 1"),
        (b"- {expires: 2027-02-30}", "it cannot be read as YAML"),
        (b"\x00", "it cannot be read as YAML"),
        (file_of({"sha256": "act_secret"}), "key 1, sha256: String should match"),
        (file_of({"id": "a b"}), "key 1, id: String should match"),
        (file_of({"id": 7}), "key 1, id: Input should be a valid string"),
        (file_of({"scopes": []}), "key 1, scopes: "),
        (file_of({"scopes": ["all"]}), "should be 'submit', 'read' or 'operate'"),
        (file_of({"expires": "2027-01-31T00:00:00"}), "key 1, expires: "),
        (file_of({"expires": 1_800_000_000}), "key 1, expires: must be a time such as"),
        (file_of({"ratePerSecond": 0}), "key 1, ratePerSecond: "),
        (file_of({"burst": 3}), "key 1: burst needs ratePerSecond"),
        (file_of({"until": "2027"}), "key 1, until: "),
        (file_of({}, {"sha256": OTHER_HASH}), "two keys have the same id"),
        (file_of({}, {"id": "other"}), "two keys have the same sha256"),
    ],
)
def test_wrong_file_is_refused_with_the_place_and_without_the_value(
    content: bytes, fault: str
) -> None:
    """A key that was put there in place of its hash must not reach a log."""
    with pytest.raises(KeyFileError) as caught:
        read_keys(content)

    assert fault in str(caught.value)
    assert "act_secret" not in str(caught.value)


def test_new_keys_differ_and_cannot_be_guessed() -> None:
    """256 random bits, in letters that pass through any header; the hash is plain SHA-256."""
    keys = {new_key() for _ in range(100)}
    key = keys.pop()

    assert len(keys) == 99
    assert len(key) == len("act_") + 43
    assert hash_of(key) == hashlib.sha256(key.encode("ascii")).hexdigest()


def test_bucket_never_holds_more_than_its_burst() -> None:
    """A long pause is worth no more than a short one."""
    bucket = TokenBucket(RateLimit(per_second=1.0, burst=2), now_s=0.0)

    taken = [bucket.take(1_000.0) for _ in range(3)]

    assert taken == [0.0, 0.0, 1.0]


def ids(keys: KeyFile[ApiKey]) -> list[str]:
    return [key.id for key in keys.current()]


def file_at(path: Path) -> KeyFile[ApiKey]:
    return KeyFile(path, read_keys, kind="API keys", every_s=5.0)


async def opened(path: Path) -> KeyFile[ApiKey]:
    key_file = file_at(path)
    await key_file.open()
    return key_file


async def test_changed_file_holds_without_a_restart(tmp_path: Path) -> None:
    """A key is added, then another taken away."""
    path = tmp_path / "keys.yaml"
    path.write_bytes(file_of({}))
    key_file = await opened(path)

    path.write_bytes(file_of({}, {"id": "desk", "sha256": OTHER_HASH}))
    await key_file.look()
    both = ids(key_file)
    path.write_bytes(b"[]")
    await key_file.look()

    assert both == ["crm", "desk"]
    assert ids(key_file) == []


@pytest.mark.parametrize("broken", [b"- {id: crm", b"", None])
async def test_broken_file_changes_nothing_and_is_told_once(
    tmp_path: Path, broken: bytes | None
) -> None:
    """The last good keys hold, also when the file is gone; the next good file counts again."""
    path = tmp_path / "keys.yaml"
    path.write_bytes(file_of({}))
    key_file = await opened(path)

    with capture_logs() as logs:
        if broken is None:
            path.unlink()
        else:
            path.write_bytes(broken)
        await key_file.look()
        await key_file.look()
        kept = ids(key_file)
        path.write_bytes(file_of({"id": "new"}))
        await key_file.look()

    assert kept == ["crm"]
    assert ids(key_file) == ["new"]
    assert [line["event"] for line in logs] == ["api_keys_broken", "api_keys_read"]


async def test_file_that_is_not_changed_is_not_told_again(tmp_path: Path) -> None:
    """Also where it holds no key."""
    path = tmp_path / "keys.yaml"
    path.write_bytes(b"[]")
    key_file = await opened(path)

    with capture_logs() as logs:
        await key_file.look()

    assert logs == []


@pytest.mark.parametrize("content", [b"- {id: crm", None])
async def test_gateway_does_not_start_with_a_broken_file(
    tmp_path: Path, content: bytes | None
) -> None:
    """Without keys it would let nobody in, and without the file anybody."""
    path = tmp_path / "keys.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(StartError, match=r"keys\.yaml: it cannot be read"):
        await opened(path)


@VIRTUAL_TIME
async def test_file_is_looked_at_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few seconds, until cancelled."""
    key_file = file_at(tmp_path / "keys.yaml")
    looks: list[float] = []

    async def look() -> None:
        looks.append(asyncio.get_running_loop().time())

    monkeypatch.setattr(key_file, "look", look)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(16.0):
            await key_file.run()

    assert looks == [5.0, 10.0, 15.0]


def test_entry_does_not_hold_the_key() -> None:
    """What is logged or dumped of an entry is its hash at most."""
    key = new_key()

    written = ApiKey.model_validate(
        {"id": "crm", "sha256": hash_of(key), "scopes": ["read"]}
    ).line()

    assert key not in written
    assert hash_of(key) in written
