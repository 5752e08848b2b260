"""Masking: secrets disappear by their names from values, and by their values from texts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activation.telemetry.masking import MASK, Masker

MASKER = Masker(["password", "Token"])

NAMES = st.sampled_from(["password", "wifiPassword", "TOKEN", "vlan", "name"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)


@pytest.mark.parametrize("name", ["password", "PASSWORD", "wifiPassword2", "x-token", "tokens"])
def test_name_that_holds_a_secret_word_is_secret(name: str) -> None:
    """Whatever stands around it, and in whatever case."""
    assert MASKER.is_secret(name)


@pytest.mark.parametrize("name", ["vlan", "username", "passwort", "", "tok-en"])
def test_other_names_are_not(name: str) -> None:
    """Only the words that were named count."""
    assert not MASKER.is_secret(name)


def test_secrets_are_masked_at_any_depth() -> None:
    """In objects, lists and lists of objects; everything else stays as it is."""
    value = {
        "username": "alice",
        "password": "hunter22",
        "interfaces": [{"name": "eth0", "wifi": {"token": ["a", "b"]}}, "eth1", 7],
        "passwords": {"admin": "x", "guest": None},
    }

    masked = MASKER.mask(value)

    assert masked == {
        "username": "alice",
        "password": MASK,
        "interfaces": [{"name": "eth0", "wifi": {"token": MASK}}, "eth1", 7],
        "passwords": MASK,
    }
    assert value["password"] == "hunter22"  # a copy was masked


@pytest.mark.parametrize("naming", ["name", "Name", "key", "parameter", "path"])
def test_pair_that_names_a_secret_hides_its_value(naming: str) -> None:
    """As TR-069 writes parameters; the name itself may be seen."""
    value = [
        {naming: "Device.WiFi.Password", "value": "hunter22"},
        {naming: "Device.WiFi.SSID", "value": "home"},
    ]

    masked = MASKER.mask(value)

    assert masked == [
        {naming: "Device.WiFi.Password", "value": MASK},
        {naming: "Device.WiFi.SSID", "value": "home"},
    ]
    assert MASKER.scrub("hunter22 at home", json.dumps(value)) == f"{MASK} at home"


def test_json_text_is_read_and_masked() -> None:
    """The parameters as the store keeps them."""
    assert MASKER.mask_json('{"vlan": 7, "password": "x"}') == {"vlan": 7, "password": MASK}


def test_older_form_of_parameters_is_masked_too() -> None:
    """A list of single-key objects."""
    assert MASKER.mask([{"vlan": 7}, {"password": "x"}]) == [{"vlan": 7}, {"password": MASK}]


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("hunter22", "user alice, password hunter22"),
        (4711, "the number 4711"),
        (1.5, "the number 1.5"),
        ('a"b\\c', 'in JSON {"password": "a\\"b\\\\c"}'),
        ("schlüssel", 'escaped "schl\\u00fcssel"'),
        ("schlüssel", "plain schlüssel"),
        ("line\nbreak", "in Python's way: 'line\\nbreak'"),
        (["first", {"inner": "second"}], "first and second"),
    ],
)
def test_values_of_secrets_are_scrubbed_from_a_text(secret: object, text: str) -> None:
    """However the one who saw the parameters wrote them down."""
    scrubbed = MASKER.scrub(text, json.dumps({"password": secret, "vlan": "keep"}))

    assert MASK in scrubbed
    for form in secret if isinstance(secret, list) else [secret]:
        assert str(form) not in scrubbed


def test_longer_secret_is_scrubbed_before_the_shorter_one_inside_it() -> None:
    """Or the rest of the longer one would stay."""
    parameters = json.dumps({"password": "abc", "token": "abcdef"})

    assert f"{MASK} and {MASK}" == MASKER.scrub("abcdef and abc", parameters)


def test_what_is_no_secret_stays() -> None:
    """Names, flags and the shortest values would only garble the message."""
    parameters = json.dumps({"username": "alice", "password": "ab", "token": True, "vlan": 100})

    text = "alice on 100: True, ab"

    assert text == MASKER.scrub(text, parameters)


@settings(max_examples=50)
@given(VALUES)
def test_no_secret_survives_masking(value: object) -> None:
    """Whatever the parameters look like: below a secret name nothing but the mask is left."""

    def secrets_left(masked: object) -> list[object]:
        if isinstance(masked, list):
            return [left for inner in masked for left in secrets_left(inner)]
        if isinstance(masked, dict):
            here = [v for k, v in masked.items() if MASKER.is_secret(k) and v != MASK]
            return here + [left for inner in masked.values() for left in secrets_left(inner)]
        return []

    assert secrets_left(MASKER.mask(value)) == []


@settings(max_examples=50)
@given(VALUES, st.text())
def test_scrubbing_is_total(value: object, text: str) -> None:
    """Every text and every parameters can be scrubbed."""
    assert isinstance(MASKER.scrub(text, json.dumps(value)), str)
