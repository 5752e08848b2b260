"""What compose.yaml and the Dockerfile say; `test_compose_up` tries them out."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic_settings import BaseSettings

from activation_gateway.settings import GatewaySettings
from activation_handler.settings import HandlerSettings
from activation_worker.settings import WorkerSettings

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
OURS: Final = ["gateway", "worker", "handler"]
EVERY: Final = [*OURS, "rabbitmq", "postgres"]


def services(**variables: str) -> dict[str, Any]:
    """The services of compose.yaml, with these variables set and all others at their defaults."""
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}",
        lambda found: variables.get(found[1], found[2]),
        (ROOT / "compose.yaml").read_text(),
    )
    read: dict[str, Any] = yaml.safe_load(text)["services"]
    return read


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_the_whole_system_is_there() -> None:
    """Each part of the system is a service, and there is no other."""
    assert set(services()) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_service_may_do_no_more_than_it_must(name: str) -> None:
    """No capabilities, no way to gain any, nothing to write to but volumes and memory."""
    service = services()[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", EVERY)
def test_service_is_watched_and_started_again(name: str) -> None:
    """Every service has a health check, and comes back by itself."""
    service = services()[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("gateway", {"postgres", "rabbitmq"}),
        ("worker", {"postgres", "rabbitmq", "handler"}),
    ],
)
def test_service_starts_after_what_it_needs(name: str, needed: set[str]) -> None:
    """It waits until the others are healthy, not only until they were started."""
    waits_for = services()[name]["depends_on"]

    assert waits_for == {other: {"condition": "service_healthy"} for other in needed}


@pytest.mark.parametrize(("name", "alias"), [("gateway", "service_b"), ("handler", "service_a")])
def test_service_answers_to_its_old_name(name: str, alias: str) -> None:
    """The names of the original write-up work on the network."""
    assert services()[name]["networks"]["default"]["aliases"] == [alias]


def test_only_loopback_is_published() -> None:
    """The API and RabbitMQ's pages, for this machine alone."""
    published = {name: one["ports"] for name, one in services().items() if "ports" in one}

    assert published == {
        "gateway": ["127.0.0.1:8000:8000"],
        "rabbitmq": ["127.0.0.1:15672:15672"],
    }


def test_workers_can_be_scaled() -> None:
    """Nothing of a worker can exist only once on a machine."""
    assert not {"container_name", "hostname", "ports", "volumes"} & set(services()["worker"])


@pytest.mark.parametrize(
    ("name", "settings", "port"),
    [
        ("gateway", GatewaySettings, "port"),
        ("worker", WorkerSettings, "admin_port"),
        ("handler", HandlerSettings, "handler_port"),
    ],
)
def test_service_is_told_what_it_understands(
    name: str, settings: type[BaseSettings], port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are settings, they are enough to start, and its probe asks at its port."""
    service = services()[name]
    known = {f"ACTIVATION_{field.upper()}" for field in settings.model_fields}
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, str(value))

    read = settings()

    assert set(service["environment"]) <= known | {"HANDLER_SECONDS"}
    assert service["healthcheck"]["test"][-1] == str(getattr(read, port))


def test_services_are_given_the_time_to_stop() -> None:
    """Docker kills a service only after it could have finished, or handed back, what it does."""
    worker, gateway = services()["worker"], services()["gateway"]

    drain_s = worker["environment"]["ACTIVATION_DRAIN_S"]
    shutdown_s = GatewaySettings.model_fields["shutdown_s"].default

    assert seconds(worker["stop_grace_period"]) >= drain_s + 10
    assert seconds(gateway["stop_grace_period"]) >= shutdown_s + 5


def test_one_variable_sets_a_password_everywhere() -> None:
    """The server and those who log in are told the same."""
    chosen = services(POSTGRES_PASSWORD="chosen1", RABBITMQ_PASSWORD="chosen2")

    assert chosen["postgres"]["environment"]["POSTGRES_PASSWORD"] == "chosen1"
    assert chosen["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_PASS"] == "chosen2"
    for name in ("gateway", "worker"):
        assert ":chosen1@postgres/" in chosen[name]["environment"]["ACTIVATION_DATABASE_URL"]
        assert ":chosen2@rabbitmq/" in chosen[name]["environment"]["ACTIVATION_AMQP_URL"]


def test_default_passwords_say_what_they_are() -> None:
    """Nobody takes them for secrets."""
    defaults = re.findall(r"\$\{\w+_PASSWORD:-([^}]*)\}", (ROOT / "compose.yaml").read_text())

    assert set(defaults) == {"development-only"}


def test_data_outlives_the_containers() -> None:
    """Both servers keep their data in volumes, and RabbitMQ finds its own again by its name."""
    found = services()

    assert found["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert found["rabbitmq"]["volumes"] == ["rabbitmq:/var/lib/rabbitmq"]
    assert found["rabbitmq"]["hostname"] == "rabbitmq"


@pytest.mark.parametrize("name", OURS)
def test_image_is_a_target_of_the_dockerfile(name: str) -> None:
    """It starts the service itself, without a shell that would keep the signals."""
    service = services()[name]
    last_stage = DOCKERFILE.partition(f"\nFROM service AS {name}\n")[2].partition("\nFROM ")[0]

    assert service["build"] == {"context": ".", "target": name}
    assert service["image"] == f"activation-{name}:dev"
    assert f'\nENTRYPOINT ["activation-{name}"]' in last_stage


def test_images_are_pinned() -> None:
    """Bases stand in one place, and nothing follows `latest`."""
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE, re.MULTILINE))
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    images = [*bases.values(), *(service["image"] for service in services().values())]

    named = {f"${{{base}}}" for base in bases} | {name for _, name in stages}
    assert {source for source, _ in stages} <= named
    assert all(re.search(r":(?!latest)[\w.-]+$", image) for image in images), images


def test_nothing_runs_as_root() -> None:
    """Users are numbers, as Kubernetes can only check those."""
    found = services()
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    of_images = len(users)

    users += [found[name]["user"] for name in ("rabbitmq", "postgres")]

    assert of_images == 2  # of what is released, and of what is worked with
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users), users
