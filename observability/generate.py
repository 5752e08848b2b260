"""Writes dashboards and rules into the chart, or says which committed file is not in step.

python -m observability.generate          writes
python -m observability.generate --check  only compares
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from observability import rules
from observability.dashboards import DASHBOARDS

OUTPUT: Final = Path(__file__).parents[1] / "charts/activation/files/observability"

_NOTE: Final = "# Made by `make generate` of the files in observability/: change those.\n"

# For k8s/observability, which mounts the same files as the chart.
_RULES_BASE: Final = """\
resources: [dashboards]
configMapGenerator:
  - name: activation-rules
    files: [rules.yaml]
"""
_DASHBOARDS_BASE: Final = """\
configMapGenerator:
  - name: activation-dashboards
    files: [{files}]
"""


def contents() -> dict[Path, str]:
    """Return each generated file with its text."""
    built = [dashboard.build() for dashboard in DASHBOARDS]
    dashboards = {
        OUTPUT / "dashboards" / f"{board.uid}.json": (
            json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        )
        for board in built
    }
    names = ", ".join(path.name for path in dashboards)
    others = {
        "rules.yaml": rules.as_yaml(),
        "kustomization.yaml": _RULES_BASE,
        "dashboards/kustomization.yaml": _DASHBOARDS_BASE.format(files=names),
    }
    return {**dashboards, **{OUTPUT / name: _NOTE + text for name, text in others.items()}}


def _stray(wanted: dict[Path, str]) -> list[Path]:
    """Return what an earlier version wrote and this one does not."""
    return sorted({*OUTPUT.glob("dashboards/*.json")} - wanted.keys())


def _check(wanted: dict[Path, str]) -> int:
    faults = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in [*faults, *_stray(wanted)]:
        name = path.relative_to(OUTPUT.parents[3])
        print(f"{name} is not in step with observability/: run `make generate`", file=sys.stderr)
    return 1 if faults or _stray(wanted) else 0


def _write(wanted: dict[Path, str]) -> int:
    for path in _stray(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    wanted = contents()
    return _check(wanted) if parser.parse_args().check else _write(wanted)


if __name__ == "__main__":
    sys.exit(main())
