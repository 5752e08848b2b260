"""The handler, and the way to it, broken."""

from collections.abc import Mapping
from typing import Any, Final

from activation_cli.verify import faults, promises
from activation_cli.verify.faults import handler_does
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.proxy import BLACK_HOLE, Behaviour
from activation_cli.verify.scenarios.scenario import Scenario, Timed
from activation_cli.verify.system import Link


def _answer(status: int, **more: object) -> Mapping[str, Any]:
    return {"do": "answer", "status": status, **more}


# What the handler does to half of the calls, and the words for it.
_BROKEN_ANSWERS: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("resets", "connections are reset in the middle of answers", {"do": "reset", "at": "middle"}),
    ("half-answers", "answers end in the middle", {"do": "half"}),
    ("endless", "answers never end", {"do": "huge", "body_bytes": None}),
    ("garbage", "answers are no HTTP", {"do": "garbage", "instead_of": "http"}),
    ("wrong-type", "answers are web pages", {"do": "wrong_type"}),
    ("overloaded", "answers are 429 with Retry-After", _answer(429, retry_after=1)),
    ("unavailable", "answers are 503", _answer(503)),
)

HANDLER: Final = (
    Scenario(
        "handler-hangs",
        "a third of the calls succeeds, and is answered long after the deadline",
        "the next attempt, with the same key, learns that; no device is activated twice",
        (
            Timed(
                handler_does(
                    "the handler hangs", {"do": "hang", "for_s": 3.0}, for_s=2.0, share=0.3
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
        timeout_s=1,
    ),
    Scenario(
        "handler-asked",
        "a third of the calls succeeds long after the deadline",
        "the handler is asked what they came to, and they are not called again",
        (
            Timed(
                handler_does(
                    "the handler is slow", {"do": "answer", "latency_s": 3.0}, for_s=2.0, share=0.3
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again, promises.nothing_is_called_again),
        timeout_s=1,
        settings={"ask_handler": True},
    ),
    Scenario(
        "handler-full",
        "the handler takes four calls at once, and answers 429 to all others",
        "the workers find that out, and hardly a call is refused from then on",
        promises=(all_succeed, promises.few_are_refused_in_the_end),
        handler_s=0.3,
        settings={"handler_room": 4, "max_attempts": 6},
    ),
    Scenario(
        "handler-down",
        "all calls are answered 503",
        "the breaker opens: the handler has a rest, and no task is given up",
        (Timed(handler_does("the handler is down", _answer(503), for_s=4.0)),),
        (all_succeed, promises.it_is_left_in_peace),
        settings={
            "breaker_base_s": promises.FIRST_REST_S,
            "breaker_cap_s": promises.FIRST_REST_S,
        },
    ),
    *(
        Scenario(
            f"handler-{name}",
            does,
            "calls are repeated with the same key; no device is activated twice",
            (Timed(handler_does(does, step, for_s=2.0, share=0.5)),),
            (all_succeed, promises.something_is_called_again),
            round_s=5.0,
        )
        for name, does, step in _BROKEN_ANSWERS
    ),
    Scenario(
        "handler-cut-off",
        "connections to the handler are reset, new ones too",
        "calls are repeated with the same key; no device is activated twice",
        (
            Timed(faults.cut("calls are cut off", (Link.WORKER_HANDLER,), times=2)),
            Timed(
                faults.behaving(
                    "the handler refuses connections",
                    (Link.WORKER_HANDLER,),
                    Behaviour(refuses=True),
                    for_s=2.0,
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
    ),
    Scenario(
        "handler-black-holed",
        "nothing passes to and from the handler, and no connection ends",
        "calls end with their deadline, and are repeated with the same key",
        (
            Timed(
                faults.behaving(
                    "the handler is a black hole", (Link.WORKER_HANDLER,), BLACK_HOLE, for_s=3.0
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
        timeout_s=1,
    ),
)
