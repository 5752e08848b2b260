"""A private RabbitMQ node: own data folder, own ports, own epmd, on the loopback interface only.

It takes nothing from, and leaves nothing to, a RabbitMQ service of the same machine.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from activation.errors import StartError
from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.local.probes import http_ok, speaks_amqp
from activation_cli.local.process import Child

# The scripts behind Debian's /usr/sbin/rabbitmq*, which would become the user `rabbitmq`.
_DEBIAN_PROGRAMS: Final = Path("/usr/lib/rabbitmq/bin")

# Part of every path in the data folder, so it must not follow the name of the machine. It need not
# be unique either: names are looked up in epmd, and each node has its own.
_NODE_NAME: Final = "activation@localhost"

_CONTROL_S: Final = 30.0

_USER: Final = "activation"
_PASSWORD: Final = "activation"  # noqa: S105  # loopback only, and it guards nothing

_CONFIGURATION: Final = """\
listeners.tcp.1 = {host}:{amqp_port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
prometheus.tcp.ip = {host}
prometheus.tcp.port = {metrics_port}
default_user = {user}
default_pass = {password}
log.console = true
log.file = false
# The default, 512 MiB, is kept in memory until it is full.
raft.wal_max_size_bytes = 64000000
"""


class RabbitMQNode:
    """A RabbitMQ server in a folder; starting it again continues with its queues.

    Args:
        folder: Where it keeps everything, its log too.
        management: Whether the management plugin (HTTP API, web pages) runs in it.
        metrics: Whether the plugin for Prometheus runs in it.
        log: Its log file; `rabbitmq.log` in the folder by default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        management: bool = False,
        metrics: bool = False,
        log: Path | None = None,
    ) -> None:
        self._folder = folder.resolve()
        self._management = management
        self._metrics = metrics
        self._port = free_port()
        self._management_port = free_port()
        self._metrics_port = free_port()
        self._epmd_port = free_port()
        log = log or self._folder / "rabbitmq.log"
        environment = self._environment()
        self._epmd = Child(
            "epmd",
            ["epmd", "-address", LOOPBACK, "-port", str(self._epmd_port)],
            log=log,
            env=environment,
        )
        self._server = Child(
            "RabbitMQ", [_program("rabbitmq-server")], log=log, env=environment, folder=self._folder
        )

    @property
    def amqp_url(self) -> str:
        """The address of its default virtual host, with user and password."""
        return f"amqp://{_USER}:{_PASSWORD}@{LOOPBACK}:{self._port}/"

    @property
    def management_url(self) -> str:
        """The address of the management plugin, with user and password."""
        return f"http://{_USER}:{_PASSWORD}@{LOOPBACK}:{self._management_port}"

    @property
    def metrics_url(self) -> str:
        """The address of the plugin for Prometheus."""
        return f"http://{LOOPBACK}:{self._metrics_port}"

    @property
    def process(self) -> Child:
        """The server's process."""
        return self._server

    def launch(self) -> None:
        """Start it and return at once.

        Raises:
            StartError: A program is missing or the folder cannot be used.
        """
        self._write_configuration()
        if not self._epmd.running:  # it outlives a killed server
            self._epmd.start()
        self._server.start()

    def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until it takes connections.

        Raises:
            StartError: It ended or took too long; with the last line of its log.
        """
        self._server.wait_ready(self._is_ready, timeout_s=timeout_s)

    def start(self) -> None:
        """Start it and wait until it takes connections; errors as in `launch` and `wait_ready`."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """End it in order, or by SIGKILL when that takes more than 15 s."""
        self._server.stop(timeout_s=15.0)
        self._epmd.stop()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._server.kill()

    def restart(self) -> None:
        """Stop and start it; the address stays."""
        self.stop()
        self.start()

    def control(self, *arguments: str) -> None:
        """Have `rabbitmqctl` carry out a command.

        Raises:
            StartError: It is missing, did not end in time, or failed; with its last line.
        """
        try:
            subprocess.run(  # noqa: S603  # the program is RabbitMQ's own
                [_program("rabbitmqctl"), "--node", _NODE_NAME, "--quiet", *arguments],
                env=self._environment(),
                cwd=self._folder,
                capture_output=True,
                text=True,
                timeout=_CONTROL_S,
                check=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StartError(f"rabbitmqctl {arguments[0]}: {error}") from error
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or "").strip().splitlines() or ["it failed"]
            raise StartError(f"rabbitmqctl {arguments[0]}: {said[-1]}") from error

    def _is_ready(self) -> bool:
        management_is_ready = not self._management or http_ok(
            f"http://{LOOPBACK}:{self._management_port}/"
        )
        return management_is_ready and speaks_amqp(self._port)

    def _write_configuration(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "rabbitmq.conf").write_text(
                _CONFIGURATION.format(
                    host=LOOPBACK,
                    amqp_port=self._port,
                    management_port=self._management_port,
                    metrics_port=self._metrics_port,
                    user=_USER,
                    password=_PASSWORD,
                ),
                encoding="utf-8",
            )
            wanted = {"rabbitmq_management": self._management, "rabbitmq_prometheus": self._metrics}
            plugins = ",".join(name for name, is_wanted in wanted.items() if is_wanted)
            (self._folder / "enabled_plugins").write_text(f"[{plugins}].\n", encoding="utf-8")
        except OSError as error:
            raise StartError(f"cannot write to {error.filename}: {error.strerror}") from error

    def _environment(self) -> dict[str, str]:
        """Name every file, so that nothing of the machine's /etc/rabbitmq or of ours is used."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        folder = self._folder
        return inherited | {
            "HOME": str(folder),  # the Erlang cookie lies there
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP_BYTES": "0",
            "RABBITMQ_NODENAME": _NODE_NAME,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            # The node itself becomes our child then, not a shell that passes signals on.
            "RUNNING_UNDER_SYSTEMD": "true",
            # An epmd started by the node would be a daemon and outlive it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _program(name: str) -> Path:
    if (_DEBIAN_PROGRAMS / name).exists():
        return _DEBIAN_PROGRAMS / name
    found = shutil.which(name)
    if found is None:
        raise StartError(f"{name} is missing: install the package rabbitmq-server")
    return Path(found)
