"""What several unit tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.gateway import GatewayUnderTest, running_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayUnderTest]:
    """A gateway that keeps its tasks in memory."""
    async with running_gateway() as running:
        yield running
