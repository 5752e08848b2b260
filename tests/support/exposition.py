"""What a service shows at `/metrics`, read as Prometheus reads it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar, Sample

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


def series(name: str, **labels: object) -> str:
    """Write a series as `Exposition.values` has it."""
    return name + "".join(f"{{{key}={value}}}" for key, value in sorted(labels.items()))


@dataclass(frozen=True, slots=True)
class Exposition:
    """One scrape.

    Attributes:
        text: As it was sent.
        families: The same, read.
    """

    text: str
    families: tuple[Metric, ...]

    @classmethod
    def of_plain_text(cls, text: str) -> "Exposition":
        """Read Prometheus' own format."""
        return cls(text, tuple(text_string_to_metric_families(text)))

    @classmethod
    def of_openmetrics(cls, text: str) -> "Exposition":
        """Read the format that has exemplars."""
        families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        return cls(text, tuple(families))

    def values(self, prefix: str = "") -> dict[str, float]:
        """Return every series whose name begins so, and its value."""
        return {
            series(sample.name, **sample.labels): sample.value
            for family in self.families
            for sample in family.samples
            if sample.name.startswith(prefix)
        }

    def bounds(self) -> dict[str, set[str]]:
        """Return the bounds of the buckets of each histogram."""
        return {
            family.name: {sample.labels["le"] for sample in _buckets([family])}
            for family in self.families
            if family.type == "histogram" and family.samples
        }

    def exemplars(self, histogram: str) -> list[tuple[Mapping[str, str], Exemplar]]:
        """Return the exemplars of a histogram, with the labels of their buckets."""
        return [
            (sample.labels, sample.exemplar)
            for sample in _buckets(self.families)
            if sample.name == f"{histogram}_bucket" and sample.exemplar
        ]

    def label_values(self, prefix: str) -> set[str]:
        """Return every value of every label of the series whose name begins so."""
        return {
            value
            for family in self.families
            for sample in family.samples
            if sample.name.startswith(prefix)
            for value in sample.labels.values()
        }


def _buckets(families: Iterable[Metric]) -> Iterator[Sample]:
    for family in families:
        yield from (sample for sample in family.samples if sample.name.endswith("_bucket"))
