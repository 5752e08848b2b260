"""Bodies that are not what they should be: never a 500, never a half-made task."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from activation_gateway.api.body import DEEPEST_NESTING, LARGEST_BODY_BYTES, parse_json
from activation_gateway.api.problems import ProblemError
from activation_gateway.api.submission import Submission, read_submission
from tests.support.gateway import GatewayUnderTest, running_gateway
from tests.support.tasks import DEVICE
from tests.support.world import VIRTUAL_TIME

URL = f"/api/v1/equipment/cpe/{DEVICE}"

UNREADABLE = {
    "nothing": (b"", "The body is empty"),
    "no JSON": (b'{"parameters": }', "Expecting value at line 1 column 16"),
    "second line": (b'{\n"parameters": {},\n}', "at line 3 column 1"),
    "two values": (b"{} {}", "Extra data at line 1 column 4"),
    "cut off": (b'{"parameters": {"a": "b', "Unterminated string"),
    "byte order mark": (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
    "not UTF-8": (b'{"parameters": {"a": "\xff"}}', "byte 22 is not UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "byte 0 is not UTF-8"),
    "UTF-16 without mark": ("{}".encode("utf-16-le"), "Expecting property name"),
    "NaN": (b'{"timeoutInSeconds": NaN}', "NaN is no JSON value"),
    "infinity": (b'{"parameters": {"a": -Infinity}}', "-Infinity is no JSON value"),
    "endless integer": (b"[" + b"9" * 5_000 + b"]", "a number has too many digits"),
    "too deep": (b"[" * 65 + b"0" + b"]" * 65, "nested deeper than 64 levels"),
    "deeper than Python goes": (b"[" * 30_000, "nested deeper than 64 levels"),
    "control character": (b'{"a": "\x01"}', "Invalid control character at"),
    "single quotes": (b"{'parameters': {}}", "Expecting property name"),
}

INVALID: dict[str, tuple[Any, list[str]]] = {
    "a list": ([], [""]),
    "a string": ("parameters", [""]),
    "null": (None, [""]),
    "unknown members": ({"params": {}, "a/b~c": 1}, ["/params", "/a~1b~0c"]),
    "timeout 0": ({"timeoutInSeconds": 0}, ["/timeoutInSeconds"]),
    "timeout 901": ({"timeoutInSeconds": 901}, ["/timeoutInSeconds"]),
    "timeout 1e300": ({"timeoutInSeconds": 1e300}, ["/timeoutInSeconds"]),
    "timeout 60.5": ({"timeoutInSeconds": 60.5}, ["/timeoutInSeconds"]),
    "timeout true": ({"timeoutInSeconds": True}, ["/timeoutInSeconds"]),
    "timeout in quotes": ({"timeoutInSeconds": "60"}, ["/timeoutInSeconds"]),
    "timeout null": ({"timeoutInSeconds": None}, ["/timeoutInSeconds"]),
    "parameters null": ({"parameters": None}, ["/parameters"]),
    "parameters a string": ({"parameters": "vlan=100"}, ["/parameters"]),
    "a list with a number": ({"parameters": [{"a": 1}, 2]}, ["/parameters/1"]),
    "an empty object in the list": ({"parameters": [{}]}, ["/parameters/0"]),
    "two members in the list": ({"parameters": [{"a": 1, "b": 2}]}, ["/parameters/0"]),
    "the same name in the list": ({"parameters": [{"a": 1}, {"a": 1}]}, ["/parameters/1/a"]),
    "several faults": (
        {"timeoutInSeconds": "x", "parameters": 1, "more": 2},
        ["/more", "/timeoutInSeconds", "/parameters"],
    ),
}

AMBIGUOUS = {
    b'{"parameters": {}, "parameters": {}}': ["/parameters"],
    b'{"parameters": {"vlan": 1, "vlan": 1}}': ["/parameters/vlan"],
    b'{"parameters": {"a": [{"b": 1, "c": 2, "b": 3, "c": 4}]}}': [
        "/parameters/a/0/b",
        "/parameters/a/0/c",
    ],
    b'{"\\ud800": 1, "\\ud800": 2}': ["/\ud800"],
}


@pytest.mark.parametrize(("body", "why"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_as_json_is_400(
    gateway: GatewayUnderTest, body: bytes, why: str
) -> None:
    """The detail says what stands in the way, and where."""
    answer = await gateway.post(body)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert await gateway.store.backlog() == 0


@pytest.mark.parametrize(("body", "pointers"), INVALID.values(), ids=INVALID)
async def test_what_breaks_a_rule_is_422_and_every_fault_is_named(
    gateway: GatewayUnderTest, body: Any, pointers: list[str]
) -> None:
    """Each fault has a JSON pointer, and the detail says the same in words."""
    answer = await gateway.post(body)

    problem = answer.json()
    assert answer.status_code == 422
    assert pointers == [fault["pointer"] for fault in problem["errors"]]
    assert all(fault["detail"] in problem["detail"] for fault in problem["errors"])
    assert await gateway.store.backlog() == 0


@pytest.mark.parametrize(("body", "pointers"), AMBIGUOUS.items())
async def test_name_given_twice_is_422(
    gateway: GatewayUnderTest, body: bytes, pointers: list[str]
) -> None:
    """Python would take the last value; a client must be told that it was not clear."""
    answer = await gateway.post(body)

    assert answer.status_code == 422
    assert pointers == [fault["pointer"] for fault in answer.json()["errors"]]


async def test_number_beyond_all_floats_is_422(gateway: GatewayUnderTest) -> None:
    """Python reads 1e999 as infinity, which no handler could be told in JSON."""
    answer = await gateway.post(b'{"parameters": [{"a": [1, 1e999]}]}')

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/parameters/0/a/1"


async def test_very_many_faults_give_a_short_answer(gateway: GatewayUnderTest) -> None:
    """Twenty are named; nobody reads more, and the answer stays small."""
    answer = await gateway.post({f"unknown{number}": 0 for number in range(1_000)})

    assert (answer.status_code, len(answer.json()["errors"])) == (422, 20)


async def test_allowed_depth_is_stored_and_shown(gateway: GatewayUnderTest) -> None:
    """Whatever is accepted can be masked and written again."""
    deep: Any = "bottom"
    for _ in range(DEEPEST_NESTING - 2):
        deep = [deep]

    task_id = await gateway.submit(parameters={"deep": deep})
    shown = await gateway.result(task_id, prefer="return=representation")

    assert {"deep": deep} == shown.json()["parameters"]


async def test_brackets_in_strings_are_no_nesting(gateway: GatewayUnderTest) -> None:
    """Only what really nests is counted."""
    answer = await gateway.post({"parameters": {"config": "[" * 1_000, "list": [[]] * 100}})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json ;charset=utf-8",
        "application/vnd.example.order+json",
    ],
)
async def test_json_by_any_of_its_names_is_taken(
    gateway: GatewayUnderTest, content_type: str
) -> None:
    """Parameters of the media type and structured suffixes make no difference (RFC 6838)."""
    answer = await gateway.post({}, Content_Type=content_type)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/json", "application/x-www-form-urlencoded", "application/jsonx", ""],
)
async def test_other_media_types_are_415(gateway: GatewayUnderTest, content_type: str) -> None:
    """The media type is looked at before the body."""
    answer = await gateway.post(b"\xff", Content_Type=content_type)

    assert answer.status_code == 415
    assert "must be application/json" in answer.json()["detail"]


async def test_body_without_a_media_type_is_415(gateway: GatewayUnderTest) -> None:
    """The header to send is named."""
    answer = await gateway.http.post(URL, content=b"{}")

    assert answer.status_code == 415
    assert "Content-Type: application/json is missing" in answer.json()["detail"]


async def test_no_body_and_no_media_type_is_400(gateway: GatewayUnderTest) -> None:
    """What is missing is the body."""
    answer = await gateway.http.post(URL)

    assert (answer.status_code, answer.json()["detail"]) == (400, "The body is empty")


def filled_up(size: int) -> bytes:
    """Make a valid body of so many bytes."""
    empty = b'{"parameters":{"a":""}}'
    return empty[:-3] + b"x" * (size - len(empty)) + empty[-3:]


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Send a body without saying its length first."""
    for begin in range(0, len(body), 10_000):
        yield body[begin : begin + 10_000]


async def test_largest_body_is_taken_whole_and_in_pieces(gateway: GatewayUnderTest) -> None:
    """64 KiB is allowed."""
    body = filled_up(LARGEST_BODY_BYTES)

    whole = await gateway.post(body)
    pieces = await gateway.http.post(
        URL, content=in_pieces(body), headers={"Content-Type": "application/json"}
    )

    assert (whole.status_code, pieces.status_code) == (200, 200)


@pytest.mark.parametrize("size", [LARGEST_BODY_BYTES + 1, 2_000_000])
async def test_larger_body_is_413(gateway: GatewayUnderTest, size: int) -> None:
    """Whether its length is announced or turns out; far too large bodies end the connection."""
    body = filled_up(size)

    whole = await gateway.post(body)
    pieces = await gateway.http.post(
        URL, content=in_pieces(body), headers={"Content-Type": "application/json"}
    )

    for answer in (whole, pieces):
        assert answer.status_code == 413
        assert f"larger than {LARGEST_BODY_BYTES} bytes" in answer.json()["detail"]
        assert (size > 1_000_000) == (answer.headers.get("Connection") == "close")
    assert await gateway.store.backlog() == 0


@VIRTUAL_TIME
async def test_body_that_does_not_arrive_is_408(gateway: GatewayUnderTest) -> None:
    """A client that stalls does not hold its connection for ever."""

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"parameters": '
        await asyncio.sleep(3600.0)

    answer = await gateway.http.post(
        URL, content=stalling(), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 408
    assert answer.headers["Connection"] == "close"
    assert asyncio.get_running_loop().time() < 60.0


async def test_client_that_leaves_is_no_error(gateway: GatewayUnderTest) -> None:
    """Nothing is stored, and nothing is logged: nobody waits for the answer."""

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        """Nobody listens."""

    scope = {"type": "http", "method": "POST", "path": URL, "headers": []}
    with capture_logs() as logs:
        await gateway.app(scope, receive, send)

    assert logs == []
    assert await gateway.store.backlog() == 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, categories=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
submissions = st.fixed_dictionaries(
    {}, optional={"timeoutInSeconds": json_values, "parameters": json_values, "x": json_values}
)
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(json.dumps).map(str.encode),
    submissions.map(json.dumps).map(str.encode),
    submissions.map(json.dumps).flatmap(
        lambda text: st.integers(0, len(text)).map(lambda end: text[:end].encode())
    ),
    st.integers(0, 3_000).map(lambda depth: b'{"parameters":' * depth + b"[" * depth),
)


def read(body: bytes) -> Submission | ProblemError:
    """Read a body as the gateway does."""
    try:
        return read_submission(parse_json(body))
    except ProblemError as problem:
        return problem


@given(bodies)
@settings(max_examples=300)
def test_any_bytes_are_a_submission_or_a_problem(body: bytes) -> None:
    """Whatever is read can be written as JSON; whatever is refused is the client's fault."""
    outcome = read(body)

    if isinstance(outcome, ProblemError):
        assert outcome.status in {400, 422}
    else:
        assert 1 <= outcome.timeout_s <= 900
        assert outcome.parameters == json.loads(outcome.parameters_json)
        assert outcome.parameters_json.isascii()


@given(
    bodies,
    st.sampled_from(["application/json", "text/plain", "application/problem+json", "json", None]),
)
@settings(max_examples=60)
async def test_any_request_is_answered_as_the_contract_says(
    body: bytes, content_type: str | None
) -> None:
    """Never a 500, and a task exists if, and only if, the answer was 200."""
    headers = {} if content_type is None else {"Content-Type": content_type}

    async with running_gateway() as gateway:
        answer = await gateway.http.post(URL, content=body, headers=headers)
        stored = await gateway.store.backlog()

    assert answer.status_code in {200, 400, 413, 415, 422}
    assert stored == (answer.status_code == 200)
