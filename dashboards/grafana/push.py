"""Puts the dashboards into a Grafana, through its HTTP API.

One documented call is enough, `POST /api/dashboards/db`
(https://grafana.com/docs/grafana/v11.0/developers/http_api/dashboard), so no client library is used.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx

from dashboards.grafana import documents
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.wording import clean

TOKEN_VARIABLE = "RECWATCH_GRAFANA_TOKEN"  # noqa: S105 - the name of the variable
EXAMPLE = "http://127.0.0.1:3000"
TIMEOUT_S = 10.0
_NO_TOKEN = (401, 403)


def push(url: str, token: str, folder_uid: str = "") -> list[str]:
    """Create or replace every dashboard in the Grafana at `url`, and return their addresses.

    `token` is of a service account that may write dashboards. Grafana puts them into the folder of `folder_uid`, or moves
    them to the top where none is given. Raises BadInput where Grafana refuses them or `url` is none, and Unavailable where
    it does not answer.
    """
    root = url.rstrip("/")
    try:
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S) as http:
            return [_pushed(http, root, text, folder_uid) for text in documents().values()]
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeEncodeError) as error:
        raise BadInput(f"'{clean(url)}' cannot be asked ({error}); give Grafana's address, such as {EXAMPLE}.") from error
    except httpx.HTTPError as error:
        raise Unavailable(f"Grafana at {root} does not answer ({type(error).__name__}). Is it running there?") from error


def token_of(file: Path | None) -> str:
    """The token in the file, or where none is given in the environment. Raises BadInput where there is none."""
    try:
        token = os.environ.get(TOKEN_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The token file {file} cannot be read ({error}).") from error
    if not token.strip():
        place = f"The environment's {TOKEN_VARIABLE}" if file is None else str(file)
        raise BadInput(f"{place} holds no token of Grafana. Put one there, or give --token-file.")
    return token.strip()


def _pushed(http: httpx.Client, root: str, text: str, folder_uid: str) -> str:
    asked = {"dashboard": {**json.loads(text), "id": None}, "overwrite": True, "message": "recwatch dashboards push"}
    answer = http.post(f"{root}/api/dashboards/db", json=asked | ({"folderUid": folder_uid} if folder_uid else {}))
    if answer.status_code in _NO_TOKEN:
        raise BadInput(
            f"Grafana at {root} refuses the token ({answer.status_code}). Give one of a service account that may write "
            "dashboards, such as an editor's."
        )
    if answer.is_server_error:
        raise Unavailable(f"Grafana at {root} failed ({answer.status_code}){_said(answer)}.")
    if not answer.is_success:
        raise BadInput(f"Grafana at {root} refuses the dashboard ({answer.status_code}){_said(answer)}.")
    try:
        return f"{root}{_below(root, str(answer.json()['url']))}"
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"What answers at {root} is no Grafana; give its address, such as {EXAMPLE}.") from error


def _below(root: str, path: str) -> str:
    """The path without the part that `root` ends with: a Grafana that is served below a path tells that path, too."""
    base = httpx.URL(root).path.rstrip("/")
    return path.removeprefix(base) if base else path


def _said(answer: httpx.Response) -> str:
    try:
        return f": {clean(str(answer.json()['message']))}"
    except (ValueError, KeyError, TypeError):
        return ""
