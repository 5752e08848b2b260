"""What the metrics of this process have counted during a test."""

from collections.abc import Callable

from prometheus_client import REGISTRY

Grown = Callable[..., float]


def counting() -> Grown:
    """Return a function that tells how much a metric has grown since now."""
    before = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
    }

    def grown(name: str, **labels: str) -> float:
        now = REGISTRY.get_sample_value(name, labels) or 0.0
        return now - before.get((name, frozenset(labels.items())), 0.0)

    return grown
