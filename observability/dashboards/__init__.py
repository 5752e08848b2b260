"""The dashboards, in the order in which an operator looks at them."""

from typing import Final

from observability.dashboards import overview, rabbitmq, store, task, workers

DASHBOARDS: Final = (
    overview.DASHBOARD,
    workers.DASHBOARD,
    rabbitmq.DASHBOARD,
    store.DASHBOARD,
    task.DASHBOARD,
)
