"""What is shipped: its bill of materials, and whether it is known to be vulnerable."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from activation_cli.local.ports import free_port

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = {"aio-pika", "sqlalchemy", "fastapi", "activation-worker"}
ADVISORY: Final = {
    "id": "GHSA-test",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "a hole",
    "affected": [],
}


def script(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / name, *args], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def able_uv() -> None:
    """Skip where uv is too old for one of the two."""
    if script("uv", "audit", "--help").returncode != 0:
        pytest.skip("this uv has no `uv audit`")


@contextmanager
def advisories(vulnerable: str) -> Iterator[str]:
    """Serve OSV's API with one advisory, of a package; gives the URL."""

    class Osv(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            found = [
                {"vulns": [ADVISORY]} if query["package"]["name"] == vulnerable else {}
                for query in asked
            ]
            self._answer({"results": found})

        def do_GET(self) -> None:
            self._answer(ADVISORY)

        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Osv) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def test_bill_of_materials_names_what_is_shipped_and_no_tool_of_ours() -> None:
    """In CycloneDX, each package with its version."""
    done = script("sbom")
    sbom = json.loads((ROOT / "dist" / "sbom.cdx.json").read_text())
    versions = {part["name"]: part["version"] for part in sbom["components"]}

    assert done.returncode == 0, done.stderr
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.5")
    assert versions.keys() >= SHIPPED
    assert all(versions.values())
    assert "pytest" not in versions


def test_known_vulnerability_of_what_is_shipped_fails_the_check() -> None:
    """With its name; one of a tool of ours does not."""
    with advisories("aio-pika") as url:
        shipped = script("audit", "--service-url", url)
    with advisories("pytest") as url:
        tool = script("audit", "--service-url", url)

    assert shipped.returncode == 1
    assert "aio-pika" in shipped.stderr
    assert "GHSA-test" in shipped.stderr
    assert (tool.returncode, tool.stderr) == (0, "")


def test_check_says_so_where_nobody_can_be_asked() -> None:
    """A machine without internet can check the rest, and nobody is told that all is well."""
    done = script("audit", "--service-url", f"http://127.0.0.1:{free_port()}/")

    assert done.returncode == 0
    assert done.stderr.startswith("audit: NOT DONE, nothing is known of vulnerabilities: ")
