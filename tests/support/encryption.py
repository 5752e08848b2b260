"""Keys that encrypt parameters, as tests change them."""

from activation.encryption import Cipher, EncryptionKey


class FixedKeys:
    """Keys that change when a test says so.

    Attributes:
        held: What is there; the first encrypts.
        arriving: What a look at the file would find.
        cipher: Uses them.
    """

    def __init__(self, *keys: EncryptionKey) -> None:
        self.held = list(keys)
        self.arriving: list[EncryptionKey] = []
        self.cipher = Cipher(lambda: self.held, look=self._look)

    async def _look(self) -> None:
        self.held += self.arriving
        self.arriving = []
