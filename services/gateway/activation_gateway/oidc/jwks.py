"""A JSON Web Key Set (RFC 7517): the public keys that an issuer signs with."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

Keys = Mapping[tuple[str | None, str], jwt.PyJWK]
"""The keys that can be used, by their id, if they have one, and an algorithm they are good for."""

# RFC 8725 section 3.1: which algorithm a key is used with follows from the key, not from the token.
# All are asymmetric: what verifies a token cannot make one.
_ALGORITHMS: Final[Mapping[Any, tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
ALGORITHMS: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)


def usable_keys(document: Mapping[str, Any]) -> Keys:
    """Return the keys of a set that verify signatures; others are left out (RFC 7517 section 5)."""
    found: dict[tuple[str | None, str], jwt.PyJWK] = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and _verifies(entry):
            for key in _read(entry):
                found.setdefault((key.key_id, key.algorithm_name), key)
    return found


def _verifies(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        isinstance(entry.get("kid"), str | None)
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _read(entry: dict[str, Any]) -> Iterator[jwt.PyJWK]:
    """Give a key for each algorithm that it is good for; none if it is malformed or too short."""
    public = {name: value for name, value in entry.items() if name != "d"}
    try:
        for algorithm in _ALGORITHMS.get((entry.get("kty"), entry.get("crv")), ()):
            if entry.get("alg", algorithm) == algorithm:
                key = jwt.PyJWK(public, algorithm)
                if key.Algorithm.check_key_length(key.key) is None:  # RFC 7518 section 3.3
                    yield key
    except (jwt.PyJWTError, TypeError, ValueError, UnsupportedAlgorithm):
        return
