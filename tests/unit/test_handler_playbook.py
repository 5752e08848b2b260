"""Which step a call takes."""

from typing import Any

import pytest

from activation_handler.playbook import Playbook
from activation_handler.script import Answer, Script, Step

DEVICE = "ABC123"
OTHER_DEVICE = "XYZ789"
USUAL_S = 60.0


@pytest.fixture
def playbook() -> Playbook:
    return Playbook(usual_s=USUAL_S)


def _script(*statuses: int, **more: Any) -> Script:
    return Script(steps=[Answer(status=status) for status in statuses], **more)


def _status(step: Step) -> int:
    assert isinstance(step, Answer)
    return step.status


def _statuses(playbook: Playbook, calls: int, equipment: str = DEVICE) -> list[int]:
    return [_status(playbook.next_step(equipment)) for _ in range(calls)]


@pytest.mark.parametrize(
    ("equipment", "status", "work_s"),
    [
        (DEVICE, 200, USUAL_S),
        ("DEV404", 404, 0.0),
        ("DEV404001", 404, 0.0),
        ("notfound404", 404, 0.0),
        ("DEV500", 500, USUAL_S),
        ("DEV500001", 500, USUAL_S),
        ("error500", 500, USUAL_S),
        ("XDEV404", 200, USUAL_S),
    ],
)
def test_without_a_script_the_id_decides(
    playbook: Playbook, equipment: str, status: int, work_s: float
) -> None:
    """Unknown devices are refused at once, failing ones fail after the work, others succeed."""
    step = playbook.next_step(equipment)

    assert _status(step) == status
    assert step.work_s(USUAL_S) == work_s
    assert step.activates == (status == 200)


def test_steps_are_taken_in_order_and_then_calls_go_as_usual(playbook: Playbook) -> None:
    """Each call takes one step; a script that is used up has no effect."""
    playbook.play(_script(503, 429, equipment=DEVICE))

    assert _statuses(playbook, 4) == [503, 429, 200, 200]


def test_a_step_is_taken_as_often_as_it_says(playbook: Playbook) -> None:
    """`times` repeats a step before the next one comes; null repeats the last for ever."""
    steps: list[Step] = [Answer(status=503, times=2), Answer(status=429, times=None)]

    playbook.play(Script(equipment=DEVICE, steps=steps))

    assert _statuses(playbook, 5) == [503, 503, 429, 429, 429]


def test_a_script_concerns_its_own_device_only(playbook: Playbook) -> None:
    """Other devices neither follow it nor use it up."""
    playbook.play(_script(503, equipment=DEVICE))

    assert _statuses(playbook, 1, OTHER_DEVICE) == [200]
    assert _statuses(playbook, 1, DEVICE) == [503]


def test_a_script_for_all_is_taken_by_whoever_calls(playbook: Playbook) -> None:
    """Its steps are shared by all devices, even those that are usually unknown."""
    playbook.play(_script(503, 429))

    assert _statuses(playbook, 1, "DEV404") == [503]
    assert _statuses(playbook, 1, DEVICE) == [429]
    assert _statuses(playbook, 1, "DEV404") == [404]


def test_a_devices_own_script_goes_before_the_one_for_all(playbook: Playbook) -> None:
    """The script for all is what a device does when its own is used up."""
    playbook.play(Script(steps=[Answer(status=503, times=None)]))
    playbook.play(_script(429, equipment=DEVICE))

    assert _statuses(playbook, 2) == [429, 503]


def test_a_new_script_takes_the_place_of_the_old_one(playbook: Playbook) -> None:
    """What is left of the old script is not taken any more."""
    playbook.play(_script(503, 503, 503, equipment=DEVICE))
    _statuses(playbook, 1)

    playbook.play(_script(429, equipment=DEVICE))

    assert _statuses(playbook, 2) == [429, 200]


def test_a_share_of_the_calls_follows_the_script(playbook: Playbook) -> None:
    """With a share of 0.3 about 30 of 100 calls take a step; the others go as usual."""
    playbook.play(Script(share=0.3, seed=7, steps=[Answer(status=503, times=None)]))

    followed = _statuses(playbook, 1_000).count(503)

    assert 250 < followed < 350
    assert [performance.taken for performance in playbook.performances()] == [followed]


def test_the_same_seed_draws_the_same_calls(playbook: Playbook) -> None:
    """A run with a share can be repeated."""
    script = Script(share=0.5, seed=7, steps=[Answer(status=503, times=None)])
    playbook.play(script)
    first = _statuses(playbook, 50)

    playbook.play(script)

    assert first == _statuses(playbook, 50)


def test_clearing_brings_the_usual_back(playbook: Playbook) -> None:
    """No step of any script is left."""
    playbook.play(_script(503))
    playbook.play(_script(429, equipment=DEVICE))

    playbook.clear()

    assert playbook.performances() == []
    assert _statuses(playbook, 1) == [200]
