"""Each alert fires when it should and is silent when it should: Prometheus' own unit tests."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support import dashboards

FILES: Final = sorted((Path(__file__).parent / "rules").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_alert_fires_when_it_should(file: Path) -> None:
    """With the exact text, at the first moment and not before."""
    test = ["promtool", "test", "rules", str(file)]

    done = subprocess.run(test, capture_output=True, text=True, timeout=55, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_and_silent() -> None:
    """Each has a file of its name, in which it does both."""
    seen: dict[str, set[bool]] = {}
    for file in FILES:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for look in case.get("alert_rule_test", []):
                assert look["alertname"] == file.stem
                seen.setdefault(file.stem, set()).add(bool(look["exp_alerts"]))

    names = {rule["alert"] for rule in dashboards.rules() if "alert" in rule}
    assert seen == {name: {True, False} for name in names}
