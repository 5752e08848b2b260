"""A Prometheus of the test's own, which reads a system made of processes as it would in a cluster.

It loads the committed rules and gives its targets the labels that the chart's PodMonitors give.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.local.probes import http_ok
from activation_cli.local.process import Child
from tests.support.dashboards import RULES
from tests.support.servers import RabbitMQ
from tests.support.service import Service

NAMESPACE: Final = "telecom"

_SCRAPE: Final = "1s"
_START_S: Final = 30.0
# As the chart asks, and what RabbitMQ 3.10 has instead of queue_delivery_metrics.
_FAMILIES: Final = [
    "queue_coarse_metrics",
    "queue_consumer_count",
    "queue_delivery_metrics",
    "channel_exchange_metrics",
    "channel_queue_metrics",
]


class PrometheusServer:
    """A Prometheus in a folder.

    Args:
        folder: Where it keeps everything, its log too.
        broker: Read like a pod named `rabbitmq`.
    """

    def __init__(self, folder: Path, broker: RabbitMQ) -> None:
        self._port = free_port()
        self._targets = folder / "targets.json"
        self._services: dict[str, Service] = {}
        configuration = folder / "prometheus.yml"
        configuration.write_text(json.dumps(_configuration(broker, self._targets)))
        # Windows of days move in minutes; a test cannot wait for that.
        groups = yaml.safe_load(RULES.read_text())["groups"]
        rules = {"groups": [{**group, "interval": _SCRAPE} for group in groups]}
        (folder / "rules.yaml").write_text(json.dumps(rules))
        self.watch()
        self._process = Child(
            "Prometheus",
            [
                "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self._port}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            log=folder / "prometheus.log",
            folder=folder,
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def watch(self, *services: Service) -> None:
        """Read these services too; it notices the changed file by itself."""
        self._services |= {service.name: service for service in services}
        self._write_targets()

    def forget(self, service: Service) -> None:
        """Read this one no longer, as when its pod is gone."""
        del self._services[service.name]
        self._write_targets()

    def start(self) -> None:
        self._process.start()
        self._process.wait_ready(lambda: http_ok(f"{self.url}/-/ready"), timeout_s=_START_S)

    def stop(self) -> None:
        self._process.stop()

    def _write_targets(self) -> None:
        targets = [
            {
                "targets": [f"{LOOPBACK}:{service.admin_port}"],
                "labels": {
                    "job": f"activation-{service.name.partition('-')[0]}",
                    "namespace": NAMESPACE,
                    "pod": service.name,
                },
            }
            for service in self._services.values()
        ]
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(json.dumps(targets))
        fresh.replace(self._targets)  # never half a file


@contextmanager
def running_prometheus(folder: Path, broker: RabbitMQ) -> Iterator[PrometheusServer]:
    """Start a Prometheus that reads the broker, and leave nothing of it behind."""
    server = PrometheusServer(folder, broker)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _configuration(broker: RabbitMQ, targets: Path) -> dict[str, Any]:
    rabbitmq: dict[str, Any] = {
        "targets": [broker.metrics_url.removeprefix("http://")],
        "labels": {"job": "activation-rabbitmq", "namespace": NAMESPACE, "pod": "rabbitmq"},
    }
    detailed = {**rabbitmq, "labels": {**rabbitmq["labels"], "endpoint": "detailed"}}
    return {
        "global": {
            "scrape_interval": _SCRAPE,
            "scrape_timeout": _SCRAPE,
            "evaluation_interval": _SCRAPE,
        },
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "services", "file_sd_configs": [{"files": [str(targets)]}]},
            {"job_name": "rabbitmq", "static_configs": [rabbitmq]},
            {
                "job_name": "queues",
                "metrics_path": "/metrics/detailed",
                "params": {"family": _FAMILIES},
                "static_configs": [detailed],
            },
        ],
    }
