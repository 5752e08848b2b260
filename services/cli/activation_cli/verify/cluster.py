"""The way to a release in a cluster, and what can be done to it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from activation_cli.exits import CommandError, Exit
from activation_cli.verify import kubectl
from activation_cli.verify.port_forward import forwarded
from activation_cli.verify.release import Part, Release
from activation_cli.verify.run import Site
from activation_cli.verify.scenarios import Scenario


async def find_release(namespace: str | None, name: str) -> Release:
    """Return a release of the current cluster.

    Raises:
        CommandError: kubectl is missing, the cluster does not answer, or there is no such release.
    """
    release = Release(await kubectl.current(namespace), name)
    await release.check()
    return release


@asynccontextmanager
async def reached(
    release: Release, url: str | None, ledger_url: str | None, api_key: str | None
) -> AsyncIterator[Site]:
    """Provide the way to a release's gateways and to the ledger.

    Args:
        release: Is there.
        url: Of the gateways; None for a port-forward.
        ledger_url: Of the mock handler; None for a port-forward, if the release has one.
        api_key: For the gateways.

    Raises:
        CommandError: There is no way.
    """
    async with AsyncExitStack() as ways:

        async def way_to(part: Part) -> str | None:
            service = await release.port(part)
            if service is None:
                return None
            return await ways.enter_async_context(forwarded(release.kubectl, *service))

        url = url or await way_to(Part.GATEWAY)
        if url is None:
            raise CommandError("the release has no Service for its gateways: --url", Exit.NOT_FOUND)
        ledger_url = ledger_url or await way_to(Part.HANDLER)
        yield Site(url, ledger_url, api_key, release)


async def find_obstacles(release: Release, scenarios: Iterable[Scenario]) -> Mapping[str, str]:
    """Say of the scenarios that cannot be carried out on a release why not."""
    return {
        scenario.name: why
        for scenario in scenarios
        for timed in scenario.faults
        if (why := await timed.fault.obstacle(release)) is not None
    }
