"""Passwords: made once, kept in Secrets, shown nowhere else; and RabbitMQ's users."""

import base64
import hashlib
import json
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.helm import NAMESPACE, OWN_SECRETS, Chart, Render
from tests.support.manifests import Manifest, identity, of_kind, one, pod_templates

BROKER: Final = "Secret/activation-broker"
DATABASE: Final = "Secret/activation-database"


@pytest.fixture(scope="session")
def render(chart: Chart) -> Render:
    return chart.render()


@pytest.fixture(scope="session")
def broker(render: Render) -> dict[str, str]:
    """What the broker's Secret holds."""
    return dict(one(render.manifests, BROKER)["stringData"])


@pytest.fixture(scope="session")
def database(render: Render) -> dict[str, str]:
    """What the database's Secret holds."""
    return dict(one(render.manifests, DATABASE)["stringData"])


@pytest.fixture(scope="session")
def definitions(broker: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(broker["definitions.json"]))


def verifies(user: Manifest, password: str) -> bool:
    """Tell whether RabbitMQ would let a user in: base64(salt + sha256(salt + password)).

    Source: RabbitMQ, https://www.rabbitmq.com/docs/passwords#computing-password-hash.
    """
    decoded = base64.b64decode(user["password_hash"], validate=True)
    salt, digest = decoded[:4], decoded[4:]
    return digest == hashlib.sha256(salt + password.encode()).digest()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("admin", "password"),
        ("activation", "service-password"),
        ("activation-monitor", "monitor-password"),
    ],
)
def test_users_of_the_broker_get_in_with_the_passwords_of_the_secret(
    broker: dict[str, str], definitions: dict[str, Any], name: str, key: str
) -> None:
    """Each hash in definitions.json is of the password that its user is given."""
    (user,) = [user for user in definitions["users"] if user["name"] == name]

    assert user["hashing_algorithm"] == "rabbit_password_hashing_sha256"
    assert verifies(user, broker[key])
    assert not verifies(user, broker[key] + "x")


def test_each_user_of_the_broker_may_only_do_its_work(definitions: dict[str, Any]) -> None:
    """The services have no tag; KEDA's user may look, and touch nothing."""
    tags = {user["name"]: user["tags"] for user in definitions["users"]}
    rights = {
        right["user"]: {right["configure"], right["write"], right["read"]}
        for right in definitions["permissions"]
    }

    assert tags == {
        "admin": ["administrator"],
        "activation": [],
        "activation-monitor": ["monitoring"],
    }
    assert rights == {"admin": {".*"}, "activation": {".*"}, "activation-monitor": {"^$"}}


@pytest.mark.parametrize("vhost", ["/", "telecom", "a/b"])
def test_address_of_the_broker_names_a_user_and_a_virtual_host_that_are_made(
    chart: Chart, vhost: str
) -> None:
    """amqp-url, definitions.json and what KEDA asks for agree."""
    manifests = chart.render({"broker": {"vhost": vhost}}).manifests
    secret = one(manifests, BROKER)["stringData"]
    url = urlsplit(secret["amqp-url"])
    definitions = json.loads(secret["definitions.json"])
    (trigger,) = one(manifests, "ScaledObject/activation-worker")["spec"]["triggers"]

    assert (url.scheme, url.username, url.password) == (
        "amqp",
        "activation",
        secret["service-password"],
    )
    assert url.netloc.endswith(f"@activation-rabbitmq.{NAMESPACE}.svc:5672")
    assert (unquote(url.path[1:]) or "/") == vhost
    assert [made["name"] for made in definitions["vhosts"]] == [vhost]
    assert {right["vhost"] for right in definitions["permissions"]} == {vhost}
    assert trigger["metadata"]["vhostName"] == vhost


def test_address_of_the_database_names_the_user_that_is_made(database: dict[str, str]) -> None:
    """database-url is of the user and the database that PostgreSQL's chart makes."""
    url = urlsplit(database["database-url"])

    assert (url.username, url.password) == (database["CUSTOM_USER"], database["CUSTOM_PASSWORD"])
    assert url.path == f"/{database['CUSTOM_DB']}"
    assert url.netloc.endswith(f"@activation-postgres.{NAMESPACE}.svc:5432")


def test_passwords_are_long_and_differ(broker: dict[str, str], database: dict[str, str]) -> None:
    """No password opens two doors, and none can be guessed."""
    passwords = [
        *(broker[key] for key in ("password", "service-password", "monitor-password")),
        broker["erlang-cookie"],
        database["postgres-password"],
        database["CUSTOM_PASSWORD"],
    ]

    assert len(set(passwords)) == len(passwords)
    assert all(len(password) >= 32 for password in passwords)


def test_passwords_stand_in_secrets_alone(
    render: Render, broker: dict[str, str], database: dict[str, str]
) -> None:
    """No other object holds one, in no form."""
    secret = {"username", "monitor-username", "CUSTOM_USER", "CUSTOM_DB"}
    hidden = [value for key, value in {**broker, **database}.items() if key not in secret]
    others = json.dumps([found for found in render.manifests if found["kind"] != "Secret"])
    forms = [
        form for value in hidden for form in (value, base64.b64encode(value.encode()).decode())
    ]

    assert [form for form in forms if form in others] == []


def test_pods_read_passwords_from_secrets(render: Render) -> None:
    """What an environment variable with a password in it is set from is a Secret."""
    for pod in pod_templates(render.manifests):
        for container in pod.containers:
            for variable in container.get("env", []):
                if variable["name"] in {"ACTIVATION_AMQP_URL", "ACTIVATION_DATABASE_URL"}:
                    assert variable["valueFrom"].keys() == {"secretKeyRef"}, pod.owner


def test_secrets_outlive_the_release(render: Render) -> None:
    """An uninstall keeps the passwords, as it keeps the data that know them."""
    secrets = of_kind(render.manifests, "Secret")

    assert {identity(secret) for secret in secrets} == {BROKER, DATABASE}
    for secret in secrets:
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_no_secret_is_made_where_all_are_given(chart: Chart) -> None:
    """Then two renders are the same, as a GitOps tool wants it."""
    render = chart.render(OWN_SECRETS)

    assert of_kind(render.manifests, "Secret") == []
    assert render.text == Chart(chart.folder).render(OWN_SECRETS).text


def test_migration_may_have_a_user_of_its_own(chart: Chart) -> None:
    """Only the migration gets the Secret of the user that may change tables."""
    manifests = chart.render({"migration": {"existingSecret": "owner"}}).manifests

    readers = [pod.owner for pod in pod_templates(manifests) if '"owner"' in json.dumps(pod.spec)]

    assert [reader.split("/")[0] for reader in readers] == ["Job"]
