"""The faults: each breaks something, and has mended it when it returns."""

from activation_cli.verify.faults.broker import (
    broker_down,
    broker_killed,
    broker_restarted,
    impatient,
    messages_repeated,
    out_of_disk_space,
    out_of_memory,
    queue_deleted,
)
from activation_cli.verify.faults.clocks import clock_stepped
from activation_cli.verify.faults.fault import Fault, behaving, cut
from activation_cli.verify.faults.handler import handler_does
from activation_cli.verify.faults.kubernetes import (
    busy_worker_deleted,
    gateway_deleted,
    node_drained,
    server_deleted,
    workers_scaled,
)
from activation_cli.verify.faults.processes import (
    all_killed,
    frozen,
    gateway_killed_while,
    killed,
    poisoned,
    terminated,
    zombie,
)
from activation_cli.verify.faults.store import (
    store_connections_taken,
    store_connections_terminated,
    store_full,
    store_restarted,
)

__all__ = [
    "Fault",
    "all_killed",
    "behaving",
    "broker_down",
    "broker_killed",
    "broker_restarted",
    "busy_worker_deleted",
    "clock_stepped",
    "cut",
    "frozen",
    "gateway_deleted",
    "gateway_killed_while",
    "handler_does",
    "impatient",
    "killed",
    "messages_repeated",
    "node_drained",
    "out_of_disk_space",
    "out_of_memory",
    "poisoned",
    "queue_deleted",
    "server_deleted",
    "store_connections_taken",
    "store_connections_terminated",
    "store_full",
    "store_restarted",
    "terminated",
    "workers_scaled",
    "zombie",
]
