"""Access tokens: the gateway's settings make sense to the gateway."""

from typing import Final

import pytest

from activation.settings import read_settings
from activation_gateway.oidc.tokens import TokenRules
from activation_gateway.rate_limit import RateLimit
from activation_gateway.settings import GatewaySettings
from tests.support.helm import Chart, Values
from tests.support.manifests import one

ISSUER: Final = "https://issuer.example.com/realm"


def gateway_settings(chart: Chart, values: Values) -> dict[str, str]:
    found = one(
        chart.render({"gateway": {"oidc": values}}).manifests, "ConfigMap/activation-gateway"
    )
    return {name: value for name, value in found["data"].items() if "_OIDC_" in name}


def test_no_token_is_taken_by_default(chart: Chart) -> None:
    """And nothing is said of it."""
    assert gateway_settings(chart, {}) == {}


@pytest.mark.parametrize(
    ("more", "prefix", "limit"),
    [
        ({}, "activation.", None),
        ({"scopePrefix": "", "ratePerSecond": 0.5}, "", RateLimit(0.5, 1)),
        ({"scopePrefix": "a:", "ratePerSecond": 5, "burst": 20}, "a:", RateLimit(5.0, 20)),
    ],
)
def test_gateway_reads_what_the_chart_writes(
    chart: Chart, monkeypatch: pytest.MonkeyPatch, more: Values, prefix: str, limit: RateLimit
) -> None:
    """Each value arrives."""
    values = {"issuer": ISSUER, "audience": "us", "jwksUrl": f"{ISSUER}/keys", **more}
    settings = gateway_settings(chart, values)
    settings |= {"ACTIVATION_DATABASE_URL": "sqlite:////a", "ACTIVATION_AMQP_URL": "amqp://a/"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    read = read_settings(GatewaySettings)

    assert read.oidc_jwks_url == f"{ISSUER}/keys"
    assert read.token_rules() == TokenRules(
        issuer=ISSUER, audience="us", scope_claim="scope", scope_prefix=prefix, limit=limit
    )
