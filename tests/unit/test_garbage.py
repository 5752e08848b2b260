"""The collector of cycles leaves alone what the start made."""

import gc
from collections.abc import Iterator

import pytest

from activation.garbage import spare_collector


@pytest.fixture
def collector() -> Iterator[None]:
    """Python's own, as it was before."""
    usual = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*usual)


@pytest.mark.usefixtures("collector")
def test_what_the_start_made_is_never_looked_at_again() -> None:
    """Modules and settings live as long as the process."""
    kept = ["made by the start"]

    spare_collector()

    assert gc.get_freeze_count() > 0
    assert not any(one is kept for one in gc.get_objects())


@pytest.mark.usefixtures("collector")
def test_what_comes_later_is_looked_at_seldom_but_is() -> None:
    """Cycles must still go away."""
    before, *_ = gc.get_threshold()

    spare_collector()

    after, *_ = gc.get_threshold()
    assert gc.isenabled()
    assert after > before
