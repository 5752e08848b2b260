"""What the ledger remembers and what it objects to."""

import pytest

from activation_handler.ledger import Call, Ledger

DEVICE = "ABC123"
OTHER_DEVICE = "XYZ789"


class Clock:
    """Time that goes on by one second with every look at it."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += 1.0
        return self._now_s


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(now=Clock(), limit=4)


def _begin(ledger: Ledger, equipment: str = DEVICE, key: str | None = "key-1") -> Call:
    return ledger.begin(equipment, key, attempt=1, parameters=["vlan"])


def _sequences(calls: list[Call]) -> list[int]:
    return [call.sequence for call in calls]


def test_a_call_is_listed_from_its_beginning_to_its_end(ledger: Ledger) -> None:
    """It is there while it is in progress, and complete afterwards."""
    call = _begin(ledger)
    assert ledger.calls() == [call]
    assert call.ended_at is None

    ledger.end(call, "200")

    expected = Call(1, DEVICE, "key-1", 1, ("vlan",), started_at=1.0, ended_at=2.0, outcome="200")
    assert ledger.calls() == [expected]


def test_calls_are_found_by_device_and_key(ledger: Ledger) -> None:
    """Filters narrow the list, together or alone."""
    _begin(ledger, DEVICE, "key-1")
    _begin(ledger, DEVICE, "key-2")
    _begin(ledger, OTHER_DEVICE, "key-1")

    assert _sequences(ledger.calls(equipment=DEVICE)) == [1, 2]
    assert _sequences(ledger.calls(key="key-1")) == [1, 3]
    assert _sequences(ledger.calls(equipment=DEVICE, key="key-2")) == [2]


def test_a_full_ledger_drops_the_oldest_and_says_how_many(ledger: Ledger) -> None:
    """It is bounded, and nobody takes a part for the whole."""
    for _ in range(6):
        _begin(ledger)

    assert _sequences(ledger.calls()) == [3, 4, 5, 6]
    assert ledger.summary().calls == 4
    assert ledger.summary().forgotten == 2


def test_clearing_is_not_forgetting(ledger: Ledger) -> None:
    """After a clear the ledger counts from zero, and the sequence goes on."""
    _begin(ledger)

    ledger.clear()

    assert ledger.summary().calls == 0
    assert ledger.summary().forgotten == 0
    assert _begin(ledger).sequence == 2


def test_a_key_that_activated_twice_is_named(ledger: Ledger) -> None:
    """The summary accuses exactly the keys that switched a device on more than once."""
    for key in ("twice", "once", "twice"):
        _begin(ledger, key=key).activated = True
    _begin(ledger, key="never")

    summary = ledger.summary()

    assert summary.activated_more_than_once == ["twice"]
    assert summary.activations == 3


def test_calls_without_a_key_are_not_one_key(ledger: Ledger) -> None:
    """Two activations without a key are no repetition of each other."""
    for _ in range(2):
        _begin(ledger, key=None).activated = True

    assert ledger.summary().activated_more_than_once == []


@pytest.mark.parametrize(
    ("first", "second", "overlapping"),
    [
        ((DEVICE, "key-1"), (DEVICE, "key-2"), {DEVICE: 1}),
        ((DEVICE, None), (DEVICE, None), {DEVICE: 1}),
        ((DEVICE, "key-1"), (DEVICE, "key-1"), {}),
        ((DEVICE, "key-1"), (OTHER_DEVICE, "key-2"), {}),
    ],
)
def test_calls_of_one_device_overlap_unless_they_share_a_key(
    ledger: Ledger,
    first: tuple[str, str | None],
    second: tuple[str, str | None],
    overlapping: dict[str, int],
) -> None:
    """Two tasks of one device at the same time are an offence; a repeated call is none."""
    calls = [_begin(ledger, *first), _begin(ledger, *second)]
    assert ledger.summary().overlapping == overlapping

    for call in calls:
        ledger.end(call, "200")

    assert ledger.summary().overlapping == overlapping


def test_calls_that_follow_each_other_do_not_overlap(ledger: Ledger) -> None:
    """The next task of a device may begin when the one before has ended."""
    for key in ("key-1", "key-2"):
        ledger.end(_begin(ledger, key=key), "200")

    assert ledger.summary().overlapping == {}


def test_an_overlap_is_seen_across_calls_in_between(ledger: Ledger) -> None:
    """A long call is compared with all that begin while it lasts."""
    _begin(ledger, key="long")
    for key in ("key-2", "key-3"):
        ledger.end(_begin(ledger, key=key), "200")

    assert ledger.summary().overlapping == {DEVICE: 2}


def test_the_most_calls_at_one_moment_are_counted(ledger: Ledger) -> None:
    """Two at once, then one: the peak stays two."""
    pair = [_begin(ledger, DEVICE), _begin(ledger, OTHER_DEVICE)]
    for call in pair:
        ledger.end(call, "200")
    _begin(ledger)

    assert ledger.summary().max_in_progress == 2
    assert ledger.summary().in_progress == 1
