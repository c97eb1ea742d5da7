"""The page that documents the routes, from the files of a package: it loads nothing from another host."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from deltaml_core.messages.base import KINDS
from deltaml_core.signatures import SIGNATURE_BYTES

ENVELOPE: dict[str, Any] = {
    "title": "SignedMessage",
    "description": "Canonical JSON (keys in order, no white space, ASCII) and its sender's signature of it (protocol.md §10).",
    "type": "object",
    "additionalProperties": False,
    "required": ["message", "signature"],
    "properties": {
        "message": {
            "type": "object",
            "required": ["answers", "kind", "recipient", "request", "round", "sender", "version"],
            "properties": {
                "answers": {"type": "string", "pattern": "^([0-9a-f]{64})?$"},
                "kind": {"enum": sorted(KINDS)},
                "recipient": {"type": "string", "maxLength": 200},
                "request": {"type": "string", "maxLength": 200},
                "round": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
                "sender": {"type": "string", "maxLength": 200},
                "version": {"const": 1},
            },
        },
        "signature": {"type": "string", "pattern": f"^[0-9a-f]{{{2 * SIGNATURE_BYTES}}}$"},
    },
}
"""The form of a signed message; each kind has further fields."""

_FILES = "/docs/files"


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """A route's required body, as OpenAPI states it."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def add_page(app: FastAPI) -> None:
    """Serve the page at /docs."""
    app.mount(_FILES, StaticFiles(directory=str(swagger_ui_path)), name="documentation")

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{_FILES}/favicon-32x32.png",
        )
