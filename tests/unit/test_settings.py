"""Settings: read once, with one clear line for each wrong value, and without showing secrets."""

import pytest

from activation.domain.retry import RetryPolicy
from activation.errors import StartError
from activation.settings import (
    EXIT_CONFIGURATION,
    ServiceSettings,
    read_settings,
    refuse_start,
)
from activation_gateway.rate_limit import RateLimit
from activation_gateway.settings import GatewaySettings
from activation_worker.settings import WorkerSettings

REQUIRED = {
    "ACTIVATION_DATABASE_URL": "postgresql://activation:db-s3cret@db/activation",
    "ACTIVATION_AMQP_URL": "amqp://activation:mq-s3cret@rabbitmq/",
    "ACTIVATION_HANDLER_URL": "http://handler:8080",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with what is required, and nothing else of ours."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(
    capsys: pytest.CaptureFixture[str], kind: type[ServiceSettings] = WorkerSettings
) -> list[str]:
    """Read the settings of a service, which must be refused; returns the lines that say why."""
    with pytest.raises(SystemExit) as ended:
        read_settings(kind)
    assert ended.value.code == EXIT_CONFIGURATION
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_required_values_are_enough() -> None:
    """Everything else has a default, and each service reads only what is its own."""
    worker, gateway = read_settings(WorkerSettings), read_settings(GatewaySettings)

    assert worker.amqp_url.get_secret_value() == "amqp://activation:mq-s3cret@rabbitmq/"
    assert worker.amqp_url == gateway.amqp_url
    assert worker.drain_s > worker.grace_s + 900


def test_urls_do_not_show_their_passwords() -> None:
    """Settings that end up in a log or a traceback give nothing away."""
    assert "s3cret" not in repr(read_settings(WorkerSettings))
    assert "s3cret" not in str(read_settings(GatewaySettings))


def test_missing_values_are_named_one_a_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is missing is said at once, under the name of the variable."""
    for name in REQUIRED:
        environment.delenv(name)

    lines = refusal(capsys)

    assert {f"{name}: Field required" for name in REQUIRED} == set(lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACTIVATION_CONCURRENCY", "0"),
        ("ACTIVATION_CONCURRENCY", "many"),
        ("ACTIVATION_LEASE_S", "nan"),
        ("ACTIVATION_GRACE_S", "-1"),
        ("ACTIVATION_LOG_LEVEL", "loud"),
        ("ACTIVATION_ADMIN_PORT", "70000"),
        ("ACTIVATION_HANDLER_URL", "handler:8080"),
    ],
)
def test_wrong_value_is_one_line_that_names_the_variable(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """The line begins with the variable to mend."""
    environment.setenv(name, value)

    [line] = refusal(capsys)

    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host/",
        "user:s3cret@host",
        "amqp://",
        "amqp:///vhost",
        "amqp://user:s3c/ret@host/",
        "amqp://user:s3cret@host:99999/",
        "amqp://user:s3cret@host:port/",
        "amqp://user:s3cret@[::1/",
    ],
)
def test_wrong_broker_address_is_refused_without_its_password(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """A URL that no connection can be made of is refused at the start, and not quoted."""
    environment.setenv("ACTIVATION_AMQP_URL", url)

    [line] = refusal(capsys)

    assert line.startswith("ACTIVATION_AMQP_URL: write amqp://user:password@host/vhost")
    assert "s3c" not in line


def test_lease_shorter_than_the_stores_patience_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A renewal must be able to fail and be repeated before the lease runs out."""
    environment.setenv("ACTIVATION_LEASE_S", "7")
    environment.setenv("ACTIVATION_STORE_TIMEOUT_S", "5")

    assert refusal(capsys) == ["settings: lease_s must be at least 1.5 times store_timeout_s"]


OIDC = {"ACTIVATION_OIDC_ISSUER": "https://a.example.com/b", "ACTIVATION_OIDC_AUDIENCE": "us"}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"ISSUER": None}, "settings: oidc_audience given without oidc_issuer"),
        ({"AUDIENCE": None}, "settings: oidc_issuer needs oidc_audience"),
        ({"BURST": "5"}, "settings: oidc_burst needs oidc_rate_per_second"),
        ({"ISSUER": "http://a.example.com"}, "settings: oidc_issuer must begin with https://"),
        ({"JWKS_URL": "http://a.example.com"}, "settings: oidc_jwks_url must begin with https://"),
        ({"ISSUER": "http://127.0.0.1.example.com"}, "settings: oidc_issuer must begin with https"),
        ({"ISSUER": ""}, "ACTIVATION_OIDC_ISSUER: write https://host/path"),
        ({"ISSUER": "a.example.com"}, "ACTIVATION_OIDC_ISSUER: write https://host/path"),
        ({"ISSUER": "https://user:s3c@a.example.com"}, "ACTIVATION_OIDC_ISSUER: write https://"),
        ({"ISSUER": "https://[::1"}, "ACTIVATION_OIDC_ISSUER: write https://host/path"),
        ({"ISSUER": "https://a.example.com/#b"}, "ACTIVATION_OIDC_ISSUER: write https://host/path"),
        ({"JWKS_URL": "file:///keys"}, "ACTIVATION_OIDC_JWKS_URL: write https://host/path"),
        ({"AUDIENCE": ""}, "ACTIVATION_OIDC_AUDIENCE: "),
        ({"SCOPE_PREFIX": 'a"'}, "ACTIVATION_OIDC_SCOPE_PREFIX: "),
        ({"RATE_PER_SECOND": "inf"}, "ACTIVATION_OIDC_RATE_PER_SECOND: "),
    ],
)
def test_tokens_that_nobody_could_judge_refuse_the_start(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str | None],
    line: str,
) -> None:
    """One line, which says what to do."""
    changed = {f"ACTIVATION_OIDC_{name}": value for name, value in change.items()}
    for name, value in (OIDC | changed).items():
        if value is not None:
            environment.setenv(name, value)

    [said] = refusal(capsys, GatewaySettings)

    assert said.startswith(line)
    assert "s3c" not in said


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ISSUER": "http://localhost:8080/realm"},
        {"ISSUER": "http://127.0.0.2", "JWKS_URL": "http://[::1]:8080/keys"},
        {"ISSUER": "http://a.example.com", "ALLOW_HTTP": "true"},
    ],
)
def test_tokens_are_taken_of_an_issuer_that_nobody_can_imitate(
    environment: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """By TLS, on the same machine, or where somebody says so; its name stays as it is written."""
    changed = OIDC | {f"ACTIVATION_OIDC_{name}": value for name, value in change.items()}
    for name, value in changed.items():
        environment.setenv(name, value)

    rules = read_settings(GatewaySettings).token_rules()

    assert rules is not None
    assert rules.issuer == changed["ACTIVATION_OIDC_ISSUER"]
    assert (rules.audience, rules.limit) == ("us", None)


@pytest.mark.parametrize(("burst", "limit"), [(None, RateLimit(0.5, 1)), ("7", RateLimit(0.5, 7))])
def test_limit_of_subjects_is_as_set(
    environment: pytest.MonkeyPatch, burst: str | None, limit: RateLimit
) -> None:
    """The burst is about a second's worth if it is not given."""
    more = {"ACTIVATION_OIDC_RATE_PER_SECOND": "0.5", "ACTIVATION_OIDC_BURST": burst}
    for name, value in (OIDC | more).items():
        if value is not None:
            environment.setenv(name, value)

    rules = read_settings(GatewaySettings).token_rules()

    assert rules is not None
    assert rules.limit == limit


def test_no_token_is_taken_without_an_issuer() -> None:
    """API keys are enough."""
    assert read_settings(GatewaySettings).token_rules() is None


def test_secret_words_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    """Words from the environment replace the usual ones; empty ones would mask everything."""
    environment.setenv("ACTIVATION_SECRET_WORDS", "pin, geheim,,")

    assert {"pin", "geheim"} == read_settings(WorkerSettings).secret_words


def test_usual_secrets_are_masked_without_being_asked() -> None:
    """The words of the design are there by default."""
    usual = read_settings(GatewaySettings).secret_words

    assert {"password", "secret", "token", "key", "community", "psk"} <= usual


def test_settings_cannot_be_changed() -> None:
    """What was read once stays."""
    settings = read_settings(WorkerSettings)

    with pytest.raises(ValueError, match="frozen"):
        settings.concurrency = 7


def test_retry_rule_is_as_set(environment: pytest.MonkeyPatch) -> None:
    """The same variables give the same rule to gateway and worker."""
    environment.setenv("ACTIVATION_MAX_ATTEMPTS", "3")
    environment.setenv("ACTIVATION_RETRY_BASE_S", "0.5")
    environment.setenv("ACTIVATION_RETRY_CAP_S", "10")
    environment.setenv("ACTIVATION_RETRY_PROVISIONING_ERRORS", "true")

    expected = RetryPolicy(max_attempts=3, base_s=0.5, cap_s=10.0, retry_provisioning_errors=True)
    assert expected == read_settings(WorkerSettings).retry_policy()
    assert expected == read_settings(GatewaySettings).retry_policy()


def test_refused_start_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """However many groups of tasks the reason came through, the person sees the reason."""
    reason = StartError("RabbitMQ has a queue of the same name")
    nested = ExceptionGroup("tasks", [ExceptionGroup("more tasks", [reason])])

    with pytest.raises(SystemExit) as ended:
        refuse_start(nested)

    assert ended.value.code == EXIT_CONFIGURATION
    assert capsys.readouterr().err == "cannot start: RabbitMQ has a queue of the same name\n"
