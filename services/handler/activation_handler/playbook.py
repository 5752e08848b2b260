"""What a call does: the device's own script first, then the one for all, then as usual."""

import random
from itertools import chain, repeat
from typing import Final

from activation_handler.script import EVERY_DEVICE, Answer, Script, Step

SUCCESS: Final = Answer()

_UNKNOWN_DEVICES: Final = ("DEV404", "notfound404")
_FAILING_DEVICES: Final = ("DEV500", "error500")


class Performance:
    """A script and how far it is.

    Attributes:
        taken: How many calls took a step so far.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.taken = 0
        self._chance = random.Random(script.seed)  # noqa: S311  # no secret depends on it
        self._upcoming = chain.from_iterable(
            repeat(step) if step.times is None else repeat(step, step.times)
            for step in script.steps
        )

    def next_step(self) -> Step | None:
        """Take a step; None when the call goes as usual."""
        if self._chance.random() >= self.script.share:
            return None
        step = next(self._upcoming, None)
        if step is not None:
            self.taken += 1
        return step


class Playbook:
    """All scripts, and what devices do without one.

    Args:
        usual_s: How long it takes to activate a device, in seconds.
    """

    def __init__(self, *, usual_s: float) -> None:
        self.usual_s = usual_s
        self._unknown = Answer(status=404)
        self._failing = Answer(status=500, latency_s=usual_s)  # the real one fails late, too
        self._performances: dict[str, Performance] = {}

    def play(self, script: Script) -> None:
        """Begin a script; it takes the place of an earlier one for the same equipment."""
        self._performances[script.equipment] = Performance(script)

    def performances(self) -> list[Performance]:
        """Return the scripts and how far they are."""
        return list(self._performances.values())

    def clear(self) -> None:
        """Forget all scripts."""
        self._performances.clear()

    def next_step(self, equipment: str) -> Step:
        """Say what the next call for a device does."""
        for name in (equipment, EVERY_DEVICE):
            performance = self._performances.get(name)
            step = performance.next_step() if performance else None
            if step is not None:
                return step
        return self._usual_step(equipment)

    def _usual_step(self, equipment: str) -> Answer:
        if equipment.startswith(_UNKNOWN_DEVICES):
            return self._unknown
        if equipment.startswith(_FAILING_DEVICES):
            return self._failing
        return SUCCESS
