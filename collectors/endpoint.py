"""Where a page is, who may read it, and which labels its series carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from collectors.http_config import HttpConfig
from recwatch.core.errors import BadInput
from recwatch.core.http_address import require_http

_PARAM = "__param_"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One page to scrape. `labels` are sorted by name, with `job` and `instance` among them."""

    url: str
    labels: tuple[tuple[str, str], ...]
    kind: str | None
    http: HttpConfig

    @classmethod
    def of(
        cls, service: str, url: str, labels: Mapping[str, str], kind: str | None = None, http: HttpConfig | None = None
    ) -> Endpoint:
        """The page at `url`. Labels given to it count more than `job` and `instance` made of service and address.

        >>> Endpoint.of("shop", "http://10.0.0.1:8000/metrics", {"rack": "a"}).labels
        (('instance', '10.0.0.1:8000'), ('job', 'shop'), ('rack', 'a'))
        """
        whole = {"job": service, "instance": instance_of(url), **labels}
        return cls(url, tuple(sorted(whole.items())), kind, http or HttpConfig())


def instance_of(url: str) -> str:
    """Host and port; the rest, too, where it is not `/metrics`, since one server may have several pages.

    >>> instance_of("http://10.0.0.1:8000/metrics"), instance_of("http://10.0.0.1:8000/gpu/metrics")
    ('10.0.0.1:8000', '10.0.0.1:8000/gpu/metrics')
    """
    address, _, path = url.partition("://")[2].partition("/")
    return address if path == "metrics" else f"{address}/{path}"


def url_of(address: str, labels: Mapping[str, str], scheme: str, path: str, params: Mapping[str, Iterable[str]]) -> str:
    """Where the page of `host:port` is; `__scheme__`, `__metrics_path__` and `__param_…` among its labels count more.

    >>> url_of("10.0.0.1:9400", {"__param_module": "gpu"}, "http", "/metrics", {})
    'http://10.0.0.1:9400/metrics?module=gpu'
    """
    if not address or set(address) & set("/@ ?#"):
        raise BadInput(f"'{address}' is no address of a target; write host:port, such as 10.0.0.1:8000")
    own = {name.removeprefix(_PARAM): [value] for name, value in labels.items() if name.startswith(_PARAM)}
    query = urlencode({**params, **own}, doseq=True)
    url = f"{labels.get('__scheme__', scheme)}://{address}{labels.get('__metrics_path__', path)}"
    return require_http(f"{url}?{query}" if query else url)
