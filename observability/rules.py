"""The rule file of Prometheus: recording rules and alerts in groups."""

from typing import Any, Final

import yaml

from observability import recording
from observability.alerts import ALERTS

# Windows of days move slowly. Above 5 min Prometheus would forget a series between two evaluations.
_SLOW: Final = "2m"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, and nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return data is not None


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def groups() -> list[dict[str, Any]]:
    """Return the groups of the rule file; within a group each rule sees those before it."""
    records = {
        "activation-system": recording.SYSTEM,
        "activation-objectives": recording.quick_objectives(),
    }
    return [
        *(
            {"name": name, "rules": [record.as_rule() for record in found]}
            for name, found in records.items()
        ),
        {
            "name": "activation-objectives-slow",
            "interval": _SLOW,
            "rules": [record.as_rule() for record in recording.slow_objectives()],
        },
        {"name": "activation-alerts", "rules": [alert.as_rule() for alert in ALERTS]},
    ]


def as_yaml() -> str:
    """Return the file's text."""
    return yaml.dump(
        {"groups": groups()}, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True
    )
