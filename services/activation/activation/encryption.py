"""Parameters of tasks, encrypted: AES-256-GCM (NIST SP 800-38D) under keys that can be changed.

A ciphertext is bound to its task: under another task's id it cannot be read. It names its key, so
that a key can be replaced while tasks of the old one are left.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

from activation.domain.task import TaskId
from activation.errors import ActivationError
from activation.key_file import KeyFileError, read_entries

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # random; a key is good for 2**32 tasks (SP 800-38D, section 8.3)
_MARK: Final = "aes256gcm"  # JSON objects, which parameters are, begin with a brace
_FINGERPRINT: Final = b"activation fingerprint"


class LockedError(ActivationError):
    """Parameters cannot be decrypted now; the message says what is missing."""


def _is_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"must be {_KEY_BYTES} bytes in base64")
    return value


class EncryptionKey(BaseModel):
    """An entry of the file.

    Attributes:
        id: Names the key beside each ciphertext; it is no secret.
        key: 32 random bytes in base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    key: Annotated[SecretStr, AfterValidator(_is_key)]

    @property
    def secret(self) -> bytes:
        """The key itself."""
        return base64.b64decode(self.key.get_secret_value())

    def line(self) -> str:
        """Write it as a line of the file: JSON is YAML."""
        return f"- {json.dumps({'id': self.id, 'key': self.key.get_secret_value()})}"


_ENTRIES: Final = TypeAdapter(list[EncryptionKey])


def new_encryption_key(key_id: str) -> EncryptionKey:
    """Draw a key.

    Raises:
        ValidationError: It cannot have this id.
    """
    drawn = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return EncryptionKey(id=key_id, key=SecretStr(drawn))


def read_encryption_keys(content: bytes) -> Sequence[EncryptionKey]:
    """Read a file of keys. The first encrypts, all decrypt.

    Raises:
        KeyFileError: It is none.
    """
    keys = read_entries(content, _ENTRIES, unique=("id", "key"))
    if not keys:
        raise KeyFileError("it holds no key; to store in plain text, give no file")
    return keys


class Cipher:
    """Encrypts and decrypts the parameters of tasks.

    Args:
        keys: Returns the keys that hold now, at least one.
        look: Looks whether there are others by now.
        draw: Returns so many random bytes.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[EncryptionKey]],
        *,
        look: Callable[[], Awaitable[None]],
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._keys = keys
        self.look = look
        self._draw = draw

    def encrypt(self, task_id: TaskId, parameters: str) -> str:
        """Encrypt the parameters of a task with the first key."""
        key = self._keys()[0]
        nonce = self._draw(_NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, parameters.encode(), _about(task_id, key.id))
        return f"{_MARK}:{key.id}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, task_id: TaskId, stored: str) -> str:
        """Decrypt the parameters of a task; what was stored before there was a key is plain.

        Raises:
            LockedError: Their key is missing, or they are not this task's as it was stored.
        """
        if not stored.startswith(f"{_MARK}:"):
            return stored
        _, key_id, content = stored.split(":", 2)
        key = next((key for key in self._keys() if key.id == key_id), None)
        if key is None:
            _lock(f"The parameters are encrypted with the key {key_id}, which is missing")
        try:
            sealed = base64.b64decode(content, validate=True)
            nonce, sealed = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return AESGCM(key.secret).decrypt(nonce, sealed, _about(task_id, key_id)).decode()
        except (InvalidTag, ValueError):
            _lock(f"The parameters were changed, or the key {key_id} is another than it was")

    def fingerprints(self, digest: str) -> Sequence[str]:
        """Return what a request's digest may be stored as, what new ones are stored as first.

        A bare digest of few unknown bits, such as a short password, could be guessed; so it is made
        with a key. Requests from before a change of the key are known by the others, and those
        from before there was a key by the digest itself.
        """
        return [*(_keyed(key, digest) for key in self._keys()), digest]


def _about(task_id: TaskId, key_id: str) -> bytes:
    return f"{task_id}:{key_id}".encode()


def _keyed(key: EncryptionKey, digest: str) -> str:
    own = hmac.digest(key.secret, _FINGERPRINT, hashlib.sha256)  # no key has two uses
    return hmac.new(own, digest.encode(), hashlib.sha256).hexdigest()


def _lock(why: str) -> NoReturn:
    raise LockedError(why) from None
