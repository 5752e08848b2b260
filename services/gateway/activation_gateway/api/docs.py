"""`/openapi.json`, and `/docs`: Swagger UI with files of its own, so it works without internet."""

from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from activation_gateway.api.guard import Guard
from activation_gateway.api.openapi import describe

_ASSETS: Final = Path(fastapi_offline.__file__).parent / "static"


def docs_routes(app: FastAPI, guard: Guard | None) -> list[BaseRoute]:
    """Return the routes of the documentation of an application.

    The page names its files relative to itself, so that it also works behind a path prefix.

    Args:
        app: What is documented.
        guard: Says what requests must come with; None: nothing.
    """
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},  # it would ask a server on the internet
    )

    async def docs(_: Request) -> Response:
        return page

    async def openapi(_: Request) -> Response:
        return JSONResponse(describe(app, guard=guard))

    return [
        Route("/openapi.json", openapi),
        Route("/docs", docs),
        Mount("/docs/assets", StaticFiles(directory=_ASSETS)),
    ]
