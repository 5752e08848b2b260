"""Parameters at rest: nothing of them can be read without a key, and no task is lost for that."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from activation.domain.outcome import Reason
from activation.domain.task import Claim, State, TaskId, Waiting
from activation.encryption import (
    Cipher,
    EncryptionKey,
    LockedError,
    new_encryption_key,
    read_encryption_keys,
)
from activation.errors import KeyConflictError
from activation.key_file import KeyFileError
from activation.ports import Accepted, Refused, TaskQuery, TaskStore
from activation.store import open_store
from tests.support.clock import VirtualClock
from tests.support.encryption import FixedKeys
from tests.support.tasks import accept_new, claim, new_task, retry, stored

OLD, NEW = new_encryption_key("old"), new_encryption_key("new")
SECRET = "c4n4ry-s3cret"
PARAMETERS = f'{{"password":"{SECRET}"}}'
TASK, OTHER = TaskId(uuid4()), TaskId(uuid4())

Open = Callable[[FixedKeys | None], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def open_with(path: Path, clock: VirtualClock) -> AsyncIterator[Open]:
    """Open the one database, with keys or without any."""
    opened: list[TaskStore] = []

    async def open_(keys: FixedKeys | None) -> TaskStore:
        cipher = None if keys is None else keys.cipher
        opened.append(await open_store(f"sqlite:///{path}", clock=clock, cipher=cipher))
        return opened[-1]

    yield open_
    for store in opened:
        await store.close()


def cipher_of(*keys: EncryptionKey) -> Cipher:
    return FixedKeys(*keys).cipher


def test_what_is_encrypted_is_read_by_its_task_alone() -> None:
    """So parameters cannot be moved from one row to another, nor be changed."""
    cipher = cipher_of(OLD)
    sealed = cipher.encrypt(TASK, PARAMETERS)

    assert cipher.decrypt(TASK, sealed) == PARAMETERS
    for task_id, text in ((OTHER, sealed), (TASK, f"{sealed[:-8]}AAAA{sealed[-4:]}")):
        with pytest.raises(LockedError, match="changed, or the key old is another than it was"):
            cipher.decrypt(task_id, text)


def test_same_parameters_never_look_the_same() -> None:
    """Who reads the database does not learn which customers share a password."""
    cipher = cipher_of(OLD)

    assert cipher.encrypt(TASK, PARAMETERS) != cipher.encrypt(TASK, PARAMETERS)


def test_first_key_encrypts_and_all_decrypt() -> None:
    """A key is replaced by putting another before it."""
    sealed = cipher_of(OLD).encrypt(TASK, PARAMETERS)
    rotated = cipher_of(NEW, OLD)

    assert rotated.decrypt(TASK, sealed) == PARAMETERS
    assert rotated.encrypt(TASK, PARAMETERS).startswith("aes256gcm:new:")
    with pytest.raises(LockedError, match="the key old, which is missing"):
        cipher_of(NEW).decrypt(TASK, sealed)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[]", "it holds no key"),
        (b"- {id: a, key: c4n4ry-s3cret}", "key 1, key: must be 32 bytes in base64"),
        (b"- {id: a, key: YWJj}", "key 1, key: must be 32 bytes in base64"),
        (f"{OLD.line()}\n{OLD.line()}".encode(), "two keys have the same id"),
        (OLD.line().replace('"old"', '"a:b"').encode(), "key 1, id: "),
    ],
    ids=["none", "no base64", "too short", "one id twice", "no id"],
)
def test_wrong_file_is_refused_with_the_place_and_without_the_key(
    content: bytes, fault: str
) -> None:
    """Nothing of a key may reach a log."""
    with pytest.raises(KeyFileError) as caught:
        read_encryption_keys(content)

    assert fault in str(caught.value)
    assert SECRET not in str(caught.value)
    assert OLD.key.get_secret_value() not in str(caught.value)


def test_key_is_read_as_it_was_written_and_does_not_show() -> None:
    """`activation keys encryption` writes a line of the file."""
    assert read_encryption_keys(f"# keys\n{OLD.line()}\n".encode()) == [OLD]
    assert OLD.key.get_secret_value() not in repr(OLD)


async def test_database_holds_nothing_that_can_be_read(open_with: Open, path: Path) -> None:
    """Neither the row nor the fingerprint of the request, which could be guessed."""
    digest = "0" * 64
    store = await open_with(FixedKeys(OLD))
    task = new_task(parameters=PARAMETERS, key="k", fingerprint=digest)
    await accept_new(store, task)
    await store.finish([retry(await claim(store, task.id))])

    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    shown = await stored(store, task.id)
    page = await store.search(TaskQuery())

    assert b"aes256gcm:old:" in kept
    for private in (SECRET, "password", digest):
        assert private.encode() not in kept
    assert shown.parameters == PARAMETERS
    assert [one.parameters for one in page.tasks] == [PARAMETERS]


async def test_what_was_stored_before_there_was_a_key_is_carried_out(open_with: Open) -> None:
    """Encryption can be switched on while tasks wait."""
    before = await open_with(None)
    task_id = await accept_new(before, new_task(parameters=PARAMETERS))

    after = await open_with(FixedKeys(NEW))

    assert (await claim(after, task_id)).parameters == PARAMETERS


@pytest.mark.parametrize("before", [FixedKeys(OLD), None], ids=["old key", "no key"])
async def test_repeated_request_is_known_after_a_change_of_the_key(
    open_with: Open, before: FixedKeys | None
) -> None:
    """And another request with the same Idempotency-Key is still refused."""
    first = await accept_new(await open_with(before), new_task(key="k", fingerprint="same"))
    store = await open_with(FixedKeys(NEW, OLD))

    repeat, other, fresh = await store.accept(
        [
            new_task(key="k", fingerprint="same"),
            new_task(key="k", fingerprint="another"),
            new_task(key="fresh", fingerprint="same"),
        ]
    )

    assert repeat == Accepted(first, ready=False, repeated=True)
    assert isinstance(other, KeyConflictError)
    assert isinstance(fresh, Accepted)
    assert not fresh.repeated


async def test_task_whose_key_is_missing_waits_and_loses_nothing(
    open_with: Open, clock: VirtualClock
) -> None:
    """It is named, spends no attempt however often it is tried, and runs when the key is there."""
    task_id = await accept_new(await open_with(FixedKeys(OLD)), new_task(parameters=PARAMETERS))
    keys = FixedKeys(NEW)
    store = await open_with(keys)

    with capture_logs() as logs:
        for _ in range(10):
            [refused] = await store.claim([task_id], "worker-a", 30.0)
            waiting = await stored(store, task_id)
            clock.advance(31.0)
    keys.held.append(OLD)
    claimed = await claim(store, task_id)

    assert refused == Refused(task_id, State.QUEUED)
    assert (waiting.state, waiting.reason) == (State.QUEUED, Reason.LOCKED)
    assert waiting.waiting_for(clock.now()) is not Waiting.FOR_DEVICE
    assert "the key old, which is missing" in (waiting.message or "")
    assert "the key old, which is missing" in waiting.parameters
    assert {line["event"] for line in logs} == {"parameters_locked"}
    assert (claimed.counted, claimed.parameters) == (1, PARAMETERS)


async def test_key_that_has_just_come_is_looked_for(open_with: Open) -> None:
    """Processes see a change of the file at different times."""
    task_id = await accept_new(await open_with(FixedKeys(NEW)), new_task(parameters=PARAMETERS))
    behind = FixedKeys(OLD)
    behind.arriving = [NEW]

    assert (await claim(await open_with(behind), task_id)).parameters == PARAMETERS


async def test_parameters_of_another_task_are_not_sent(open_with: Open, path: Path) -> None:
    """Who can write to the database cannot give one device the configuration of another."""
    store = await open_with(FixedKeys(OLD))
    mine, theirs = [
        await accept_new(store, new_task(device, parameters=PARAMETERS))
        for device in ("MINE01", "THEIRS")
    ]
    with sqlite3.connect(path) as database:
        database.execute(
            "update tasks set parameters = (select max(parameters) from tasks where id != ?)",
            (mine.hex,),
        )

    moved, kept = await store.claim([mine, theirs], "worker-a", 30.0)

    assert isinstance(moved, Refused)
    assert isinstance(kept, Claim)
    assert (await stored(store, mine)).reason is Reason.LOCKED
