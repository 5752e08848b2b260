"""The headers of a request: what is wished for, and the trace it belongs to."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation_gateway.api.prefer import Preferences, read_preferences
from activation_gateway.api.trace_context import continue_trace, trace_id
from tests.support.gateway import GatewayUnderTest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("headers", "preferences"),
    [
        ([], Preferences()),
        ([""], Preferences()),
        (["respond-async"], Preferences(respond_async=True)),
        (['respond-async=""'], Preferences(respond_async=True)),
        (["RESPOND-ASYNC; foo=bar"], Preferences(respond_async=True)),
        (["return=representation"], Preferences(representation=True)),
        (['Return = "representation"'], Preferences(representation=True)),
        (["return=minimal, return=representation"], Preferences()),
        (["wait=20"], Preferences(wait_s=20)),
        (["wait=0"], Preferences(wait_s=0)),
        (["wait=3600"], Preferences(wait_s=60)),
        (["wait=10, wait=20"], Preferences(wait_s=10)),
        (
            ["return=representation", "wait=5", "respond-async"],
            Preferences(respond_async=True, representation=True, wait_s=5),
        ),
        (["handling=lenient,,wait=5;x, odd"], Preferences(wait_s=5)),
        (['foo="a, wait=20", wait=5'], Preferences(wait_s=5)),
    ],
)
def test_preferences_are_read_as_rfc_7240_says(
    headers: list[str], preferences: Preferences
) -> None:
    """Several headers count as one; of a repeated preference the first counts; 60 s is the cap."""
    assert preferences == read_preferences(headers)


@pytest.mark.parametrize(
    "header", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=٣", 'wait="5', "=", ",;,"]
)
def test_what_is_no_preference_is_ignored(header: str) -> None:
    """A preference is a wish: RFC 7240 does not let it fail a request."""
    assert Preferences() == read_preferences([header])


@given(st.lists(st.text(), max_size=3))
def test_any_header_can_be_read(headers: list[str]) -> None:
    """Nothing in it raises, and no wait is longer than the cap."""
    wait_s = read_preferences(headers).wait_s

    assert wait_s is None or 0 <= wait_s <= 60


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_valid_trace_is_continued(flags: str) -> None:
    """The flags are the caller's decision: sampled or not."""
    header = f"00-{TRACE}-{PARENT}-{flags}"

    assert header == continue_trace(header, lambda _: 0)


@pytest.mark.parametrize("more", ["", "-", "-whatever"])
def test_later_version_is_continued_as_version_00(more: str) -> None:
    """What a later version adds is not ours to pass on (W3C Trace Context, section 4.3)."""
    continued = continue_trace(f"cc-{TRACE}-{PARENT}-01{more}", lambda _: 0)

    assert f"00-{TRACE}-{PARENT}-01" == continued


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01x",
        f"cc-{TRACE}-{PARENT}-01x",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
    ],
)
def test_without_a_valid_trace_a_new_one_begins(header: str | None) -> None:
    """Each task has a trace id, and it is never the invalid one of zeros alone."""
    drawn = {128: 0xABC0, 64: 0}

    begun = continue_trace(header, drawn.__getitem__)

    assert f"00-{0xABC1:032x}-{1:016x}-01" == begun


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1))
def test_new_trace_is_always_valid(trace: int, parent: int) -> None:
    """Whatever is drawn, it would be continued by the next service."""
    begun = continue_trace(None, lambda bits: trace if bits == 128 else parent)

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", begun)
    assert begun == continue_trace(begun, lambda _: 0)


async def test_trace_of_the_request_is_stored_and_shown(gateway: GatewayUnderTest) -> None:
    """One trace leads from the POST to the handler."""
    header = f"00-{TRACE}-{PARENT}-01"

    answer = await gateway.post({}, traceparent=header)

    shown = (await gateway.http.get("/api/v1/tasks")).json()["tasks"][0]
    assert answer.status_code == 200
    assert TRACE == trace_id(header) == shown["traceId"]


async def test_task_without_a_trace_begins_one(gateway: GatewayUnderTest) -> None:
    """The randomness is the one that the gateway was given."""
    gateway.bits = 0xBEEF

    task = await gateway.stored(await gateway.submit())

    assert f"00-{0xBEEF:032x}-{0xBEEF:016x}-01" == task.traceparent
