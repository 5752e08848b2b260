"""What several unit tests share."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.gateway import GatewayUnderTest, running_gateway
from tests.support.recording import Recording, recorder

# How long an example takes says nothing on a machine that does other things as well.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayUnderTest]:
    """A gateway that keeps its tasks in memory."""
    async with running_gateway() as running:
        yield running


@pytest.fixture
def recording() -> Iterator[Recording]:
    """Record spans."""
    with recorder() as record:
        yield record
