"""Charts to render: with stubs for the dependencies, which needs Helm alone, and with them."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.support.helm import Chart, HelmError, copy_chart, helm

STUBS: Final = Path(__file__).parent / "stubs"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where copies of the chart go; without Helm there is no use for them."""
    if not shutil.which("helm"):
        pytest.skip("helm is not installed")
    return tmp_path_factory.mktemp("charts")


@pytest.fixture(scope="session")
def chart(folder: Path) -> Chart:
    """Ours, with stubs that tell the dependencies' names and ports, but make no objects."""
    return copy_chart(folder / "ours", STUBS)


@pytest.fixture(scope="session")
def whole_chart(folder: Path) -> Chart:
    """Ours with all it depends on: from the folder $CHARTS, from the chart, or downloaded."""
    prepared = os.environ.get("CHARTS")
    whole = copy_chart(folder / "whole", Path(prepared) if prepared else None)
    if not (whole.folder / "charts").exists():
        try:
            helm("dependency", "build", str(whole.folder))
        except HelmError as error:
            pytest.skip(f"the charts of RabbitMQ and PostgreSQL are not to be had: {error}")
    return whole
