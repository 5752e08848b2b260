"""What happened to this task?"""

import textwrap
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import table, text
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.text import TextMode

from observability.boards import board

UID: Final = "activation-task"

_JAEGER: Final = dashboard.DataSourceRef(type_val="jaeger", uid="${jaeger}")

# Every span of a task has this attribute, and every trace of one begins at the gateway.
_TAG: Final = "activation.task.id"
_SERVICE: Final = "activation-gateway"

_HOW: Final = textwrap.dedent(
    """\
    **The story in words**: when it was accepted, what it waited for, each attempt, why it failed,
    and what to do now:

    ```
    kubectl --namespace $namespace exec deploy/activation-gateway -- activation explain $task
    ```

    **Its logs**, from gateways and workers, as they are in the cluster now:

    ```
    kubectl --namespace $namespace logs --prefix --tail=-1 \\
      --selector 'app.kubernetes.io/component in (gateway,worker)' | grep $task
    ```

    A customer who knows only the device: `activation list --equipment ID` prints its tasks.
    A release of another name than *activation* has it in front: `deploy/NAME-activation-gateway`.
    """
)


class _Jaeger(Dataquery):
    """A query of the Jaeger data source; the SDK has none of its own."""

    def __init__(self, **fields: str | int) -> None:
        self._fields = fields

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana stores it."""
        return {"refId": "A", "datasource": _JAEGER, **self._fields}


class _Built(Builder[Dataquery]):
    def __init__(self, query: Dataquery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


_SEARCH: Final = _Jaeger(queryType="search", service=_SERVICE, tags=f"{_TAG}=$task", limit=20)
_CHOSEN: Final = _Jaeger(query="$trace")
_CHOOSE: Final = {
    "title": "Show it below",
    "url": f"/d/{UID}?${{namespace:queryparam}}&${{jaeger:queryparam}}&${{task:queryparam}}"
    "&var-trace=${__value.raw}&${__url_time_range}",
}

_TRACES: Final = (
    table.Panel()
    .title("Traces of the task")
    .description(
        "One for the task's whole way, and one more for each replay of a dead letter. Click the "
        "id to see it below. Empty: the task was accepted before the time shown here, or its trace "
        "was not kept."
    )
    .datasource(_JAEGER)
    .unit("none")
    .with_target(_Built(_SEARCH))
    .override_by_name("Trace ID", [dashboard.DynamicConfigValue(id_val="links", value=[_CHOOSE])])
    .span(12)
    .height(9)
)

_STORY: Final = (
    text.Panel()
    .title("Story and logs")
    .description("Commands for a terminal; the task's id is filled in.")
    .mode(TextMode.MARKDOWN)
    .content(_HOW)
    .span(12)
    .height(9)
)

_ONE_TRACE: Final = (
    build.Panel()
    .type("traces")
    .title("Trace")
    .description(
        "The way of the task: request, message, each attempt, the call of the provisioning system. "
        "The gap before an attempt is its wait in the queue."
    )
    .datasource(_JAEGER)
    .unit("none")
    .with_target(_Built(_CHOSEN))
    .span(24)
    .height(20)
)

DASHBOARD: Final = board(
    UID,
    "A task",
    "What happened to this task? Its id is in the answer to the POST, and in every log line.",
    ("From its id", (_TRACES, _STORY)),
    ("The trace that was chosen", (_ONE_TRACE,)),
    variables=(
        build.DatasourceVariable("jaeger").label("Jaeger").type("jaeger"),
        build.TextBoxVariable("task").label("Task id"),
        build.TextBoxVariable("trace").label("Trace id"),
    ),
    since="now-24h",
)
