"""The page of the API for people who look at it."""

from __future__ import annotations

import html

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse


def page_routes(api: FastAPI) -> APIRouter:
    """The list of all routes of `api`."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_index(api))

    return routes


def _index(api: FastAPI) -> str:
    """A page that lists the routes, written here so that no script of another host is loaded."""
    rows = "".join(
        f"<tr><td>{html.escape(method.upper())}</td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td></tr>"
        for path, operations in api.openapi()["paths"].items()
        for method, operation in operations.items()
    )
    style = "body{font-family:sans-serif;margin:2rem}td{padding:.25rem 1rem .25rem 0}"
    return (
        f"<!doctype html><html lang=en><title>recwatch API</title><style>{style}</style><h1>recwatch API</h1>"
        f'<p>The full description is <a href="openapi.json">openapi.json</a>.</p><table>{rows}</table></html>'
    )
