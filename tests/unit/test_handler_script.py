"""The language of scripts: what may be said, and what it means where nothing is said."""

import pytest
from pydantic import TypeAdapter, ValidationError

from activation_handler.script import Script, Step

_STEP: TypeAdapter[Step] = TypeAdapter(Step)

USUAL_S = 60.0


@pytest.mark.parametrize(
    ("told", "acts"),
    [
        ({"do": "answer"}, True),
        ({"do": "answer", "status": 201}, True),
        ({"do": "answer", "status": 429}, False),
        ({"do": "answer", "status": 500}, False),
        ({"do": "hang"}, False),
        ({"do": "hang", "for_s": 5}, True),
        ({"do": "reset"}, False),
        ({"do": "reset", "at": "middle"}, True),
        ({"do": "half"}, True),
        ({"do": "garbage"}, True),
        ({"do": "huge"}, True),
        ({"do": "wrong_type"}, True),
    ],
)
def test_a_step_acts_where_success_was_answered_or_begun(told: object, acts: bool) -> None:
    """Without `acts` the device is activated exactly where the caller could believe it."""
    step = _STEP.validate_python(told)

    assert step.activates == acts


@pytest.mark.parametrize("do", ["answer", "hang", "reset", "half", "garbage", "huge", "wrong_type"])
@pytest.mark.parametrize("acts", [True, False])
def test_every_step_can_be_told_whether_it_acts(do: str, acts: bool) -> None:
    """`acts` overrules the default of every kind."""
    step = _STEP.validate_python({"do": do, "acts": acts})

    assert step.activates == acts


@pytest.mark.parametrize(
    ("told", "work_s"),
    [
        ({"do": "answer"}, USUAL_S),
        ({"do": "answer", "status": 503}, 0.0),
        ({"do": "answer", "status": 503, "acts": True}, USUAL_S),
        ({"do": "reset"}, 0.0),
        ({"do": "reset", "latency_s": 2}, 2.0),
        ({"do": "answer", "latency_s": 0}, 0.0),
    ],
)
def test_activating_takes_the_usual_time_and_anything_else_none(
    told: object, work_s: float
) -> None:
    """A latency that is given counts; without one only real work takes time."""
    step = _STEP.validate_python(told)

    assert step.work_s(USUAL_S) == work_s


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"do": "answer"}, "success"),
        ({"do": "answer", "status": 404}, "The requested equipment is not found"),
        ({"do": "answer", "status": 500}, "Internal provisioning exception"),
        ({"do": "answer", "status": 503}, "Service Unavailable"),
        ({"do": "answer", "status": 599}, "Unnamed status"),
        ({"do": "answer", "status": 503, "message": "lunch"}, "lunch"),
    ],
)
def test_an_answer_says_what_its_status_usually_says(told: object, text: str) -> None:
    """The real system's words, then the standard's, unless the script has its own."""
    step = _STEP.validate_python(told)

    assert step.do == "answer"
    assert step.text == text


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({}, ("steps",)),
        ({"steps": []}, ("steps",)),
        ({"steps": [{"do": "explode"}]}, ("steps", 0)),
        ({"steps": [{"status": 500}]}, ("steps", 0)),
        ({"steps": [{"do": "answer", "status": "500"}]}, ("steps", 0, "answer", "status")),
        ({"steps": [{"do": "answer", "status": 204}]}, ("steps", 0, "answer", "status")),
        ({"steps": [{"do": "answer", "status": 100}]}, ("steps", 0, "answer", "status")),
        ({"steps": [{"do": "hang"}, {"do": "half", "times": 0}]}, ("steps", 1, "half", "times")),
        ({"steps": [{"do": "half", "latency_s": -1}]}, ("steps", 0, "half", "latency_s")),
        ({"steps": [{"do": "half", "status": 500}]}, ("steps", 0, "half", "status")),
        ({"steps": [{"do": "reset", "at": "end"}]}, ("steps", 0, "reset", "at")),
        ({"steps": [{"do": "huge", "body_bytes": 9}]}, ("steps", 0, "huge", "body_bytes")),
        ({"steps": [{"do": "half", "times": None}, {"do": "hang"}]}, ("steps",)),
        ({"steps": [{"do": "hang"}], "share": 1.5}, ("share",)),
        ({"steps": [{"do": "hang"}], "share": 0}, ("share",)),
        ({"steps": [{"do": "hang"}], "seed": "lucky"}, ("seed",)),
        ({"steps": [{"do": "hang"}], "equipment": "A-1"}, ("equipment",)),
        ({"steps": [{"do": "hang"}], "device": "ABC123"}, ("device",)),
    ],
)
def test_a_bad_script_is_refused_by_the_name_of_its_field(
    told: object, field: tuple[str | int, ...]
) -> None:
    """Nothing is guessed: a wrong type, value, name or order points at its place."""
    with pytest.raises(ValidationError) as refused:
        Script.model_validate(told)

    assert [fault["loc"] for fault in refused.value.errors()] == [field]


@pytest.mark.parametrize("value", [0, 30, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_is_seconds_or_a_date(value: int | str) -> None:
    """Both forms of RFC 9110 section 10.2.3 can be scripted."""
    step = _STEP.validate_python({"do": "answer", "status": 429, "retry_after": value})

    assert step.do == "answer"
    assert step.retry_after == value


@pytest.mark.parametrize("value", [-1, "soon", 1.5])
def test_retry_after_is_nothing_else(value: object) -> None:
    """A value that no server may send is a mistake in the script."""
    told = {"do": "answer", "status": 429, "retry_after": value}

    with pytest.raises(ValidationError, match="retry_after"):
        Script.model_validate({"steps": [told]})
