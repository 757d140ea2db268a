"""The console's script, which Streamlit runs: `streamlit run app.py -- API_URL TOKEN_FILE`. See `launch.command`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from dashboards.console.history import incidents_page, proposals_page, targets_page
from dashboards.console.live import live_page
from dashboards.console.words import plain
from recwatch.client import Client, ServiceStatus
from recwatch.core.clock import SystemClock
from recwatch.core.errors import BadInput, Unavailable

REFRESH_S = 2.0
STYLE = "<style>.stMainBlockContainer {padding: 3.6rem 2rem 1rem}</style>"
PageBody = Callable[[Client, ServiceStatus, int], None]


@st.cache_resource
def _client(url: str, token_file: str) -> Client:
    return Client(url, Path(token_file).read_text(encoding="utf-8").strip())


@st.fragment(run_every=REFRESH_S)
def _page(client: Client, body: PageBody) -> None:
    """One page; it asks the API anew every two seconds. What cannot be had is said in its place."""
    try:
        services = client.services()
        if not services:
            st.info("recwatch watches no service yet. Name one under 'services' in its configuration.")
            return
        body(client, _chosen(services), SystemClock().now_ms())
    except Unavailable as error:
        st.error(f"{plain(str(error))} This page looks again every {REFRESH_S:g} s.", icon=":material/cloud_off:")
    except BadInput as error:
        st.error(plain(str(error)))


def _chosen(services: tuple[ServiceStatus, ...]) -> ServiceStatus:
    if len(services) == 1:
        return services[0]
    by_name = {s.name: s for s in services}
    name = st.selectbox("Service", list(by_name), key="service", label_visibility="collapsed")
    return by_name.get(name, services[0])


def main() -> None:
    """The frame around the pages."""
    st.set_page_config("recwatch", page_icon=Path(__file__).with_name("icon.svg"), layout="wide")
    st.html(STYLE)
    try:
        client = _client(*sys.argv[1:3])
    except OSError as error:
        st.error(f"The token file cannot be read: {plain(str(error))}. Start the console with `recwatch up`.")
        return
    pages = (
        ("Live", "live", ":material/monitoring:", live_page),
        ("Incidents", "incidents", ":material/crisis_alert:", incidents_page),
        ("Proposals", "proposals", ":material/tune:", proposals_page),
        ("Targets", "targets", ":material/dns:", targets_page),
    )
    built = [
        st.Page(partial(_page, client, body), title=title, url_path=path, icon=icon, default=path == "live")
        for title, path, icon, body in pages
    ]
    st.navigation(built, position="top").run()


if __name__ == "__main__":
    main()
