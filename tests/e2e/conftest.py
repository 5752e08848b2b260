"""One kind cluster for all tests, with two releases of the chart in it.

`installation` is as `make up` installs it. `release` is put under load: more gateways, small
workers, and a handler of its own beside it.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from string import Template
from typing import Final

import pytest
import pytest_asyncio

from tests.support import artefacts, kind
from tests.support.client import Client
from tests.support.kind import KindCluster
from tests.support.kube import Kube
from tests.support.port_forward import PortForward
from tests.support.programs import ProgramError
from tests.support.release import Release

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE.parents[1] / ".e2e"  # what failed tests leave behind
LIMIT_S: Final = 1800.0  # for one test, and all that it is the first to need, such as the cluster
CLUSTER: Final = pytest.StashKey[KindCluster]()

session = pytest_asyncio.fixture(scope="session", loop_scope="session")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "e2e: needs docker, kind, kubectl and helm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(LIMIT_S))
            # Before the one that pytest-asyncio gave it: the nearest counts.
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (cluster := item.config.stash.get(CLUSTER, None)):
        texts = {"failure.txt": report.longreprtext}
        texts |= asyncio.run(artefacts.collect(cluster.kube))
        artefacts.write(texts, FOLDER / item.name)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the times that the tests took down."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@session
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[KindCluster]:
    """A cluster that is gone afterwards, unless E2E_CLUSTER names it."""
    name = os.environ.get("E2E_CLUSTER", "")
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        if not name:
            await kind.delete("activation-e2e")
        cluster = await kind.prepare(name or "activation-e2e", FOLDER)
    except ProgramError as error:
        pytest.exit(f"there is no cluster to test in: {error}", returncode=1)
    request.config.stash[CLUSTER] = cluster
    yield cluster
    if not name:
        await kind.delete(cluster.name)


@session
async def installation(cluster: KindCluster) -> Release:
    """A release as `make up` makes it, in an empty namespace: nothing but its values."""
    release = Release(await cluster.empty_namespace("activation"), cluster.tag)
    await release.install()
    return release


@session
async def release(cluster: KindCluster, handler: Kube) -> Release:
    """The release under load. A test that gives it other values gives it these again."""
    kube = await cluster.empty_namespace("load")
    release = Release(kube, cluster.tag, (HERE / "values.yaml",))
    await release.install()
    return release


@session
async def handler(cluster: KindCluster) -> Kube:
    """The handler of the release under load, in a namespace of its own."""
    kube = await cluster.empty_namespace("provisioning")
    manifest = Template((HERE / "handler.yaml").read_text())
    await kube.apply(manifest.substitute(image=f"activation-handler:{cluster.tag}"))
    await kube.wait("condition=Available", "deployment/handler")
    return kube


@session
async def handler_url(handler: Kube) -> AsyncIterator[str]:
    async with PortForward(handler, "handler", 8080) as forward:
        yield forward.url


@pytest_asyncio.fixture(loop_scope="session")
async def client(cluster: KindCluster, release: Release, handler_url: str) -> AsyncIterator[Client]:
    """A client of the release under load, with devices of its own."""
    url = await cluster.url(kind.LOAD_PORT)
    async with Client(url, handler_url, f"E2E{secrets.token_hex(3)}") as client:
        yield client
