"""The history that a Prometheus holds, or whatever else answers its query API → values at common times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np

from collectors.past import Past, matrix
from collectors.selector import Selector
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.http_address import require_http
from recwatch.core.signals import Float64, Int64

TIMEOUT_S = 120.0
"""Prometheus ends a query by itself after two minutes."""


class QueryApi:
    """The API at `url`, such as `http://127.0.0.1:9090`, which wants `token` as a bearer token if one is given.

    Raises BadInput for a URL that cannot be asked, or that holds a password.

    Values are those that Prometheus gives at a time: the last sample before it that is not older than its look-back.
    """

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = require_http(url)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def select(self, selectors: Sequence[Selector], time_ms: Int64) -> Past:
        return matrix([row for selector in selectors for row in self._rows(selector.text, time_ms)], time_ms)

    def query(self, query: str, time_ms: Int64) -> Past:
        """What an expression gives at each time."""
        return matrix(list(self._rows(query, time_ms)), time_ms)

    def close(self) -> None:
        self._http.close()

    def _rows(self, query: str, time_ms: Int64) -> Iterator[tuple[Mapping[str, str], Int64, Float64]]:
        start_ms, end_ms = int(time_ms[0]), int(time_ms[-1])
        step_ms = int(time_ms[1]) - start_ms if len(time_ms) > 1 else 1000
        asked = {"query": query, "start": start_ms / 1000, "end": end_ms / 1000, "step": step_ms / 1000}
        for found in self._result(query, asked):
            if "values" not in found:  # native histograms only
                continue
            at_s, values = zip(*found["values"], strict=True)
            yield found["metric"], np.rint(np.array(at_s) * 1000).astype(np.int64), np.array(values, np.float64)

    def _result(self, query: str, asked: Mapping[str, Any]) -> list[Any]:
        try:
            response = self._http.post("/api/v1/query_range", data=asked)
            answer = response.json()
            result: list[Any] = answer["data"]["result"] if response.status_code == 200 else []
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._url} does not answer a query: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self._url} answers no query of Prometheus's API (status {response.status_code})") from error
        if response.status_code != 200:
            why = answer.get("error", f"status {response.status_code}") if isinstance(answer, dict) else ""
            kind = BadInput if response.status_code in (400, 401, 403, 422) else Unavailable
            raise kind(f"{self._url} refuses the query {query!r}: {why}")
        return result
