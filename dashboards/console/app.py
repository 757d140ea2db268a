"""The console's script, which Streamlit runs: `streamlit run app.py -- API_URL TOKEN_FILE`. See `launch.command`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from dashboards.console.choice import choice
from dashboards.console.history import incidents_page, proposals_page, targets_page
from dashboards.console.live import live_page
from dashboards.console.overview import overview_page
from dashboards.console.words import plain
from recwatch.client import Client, ServiceStatus
from recwatch.core.clock import SystemClock
from recwatch.core.errors import BadInput, Unavailable

REFRESH_S = 2.0
STYLE = "<style>.stMainBlockContainer {padding: 4.2rem 2rem 1rem}</style>"
Services = tuple[ServiceStatus, ...]
PageBody = Callable[[Client, ServiceStatus, int], None]


@st.cache_resource
def _client(url: str, token_file: str) -> Client:
    return Client(url, Path(token_file).read_text(encoding="utf-8").strip())


@st.fragment(run_every=REFRESH_S)
def _asking(client: Client, known: Sequence[str], body: Callable[[Services], None]) -> None:
    """One page; it asks the API anew every two seconds. What cannot be had is said in its place."""
    try:
        services = client.services()
        if not services:
            st.info("recwatch watches no service yet. Name one under 'services' in its configuration.")
            return
        if [s.name for s in services] != known:
            st.rerun()
        body(services)
    except Unavailable as error:
        st.error(f"{plain(str(error))} This page looks again every {REFRESH_S:g} s.", icon=":material/cloud_off:")
    except BadInput as error:
        st.error(plain(str(error)))


def _overview(client: Client) -> None:
    def body(services: Services) -> None:
        overview_page(client, services, SystemClock().now_ms())

    _asking(client, _names(client), body)


def _of_one(client: Client, page: PageBody) -> None:
    """A page about one service, which the address names and the other pages keep."""
    names = _names(client)
    name = choice("Service", names, "service", width=360) if len(names) > 1 else "".join(names)

    def body(services: Services) -> None:
        page(client, next(s for s in services if s.name == name), SystemClock().now_ms())

    _asking(client, names, body)


def _names(client: Client) -> list[str]:
    try:
        return [s.name for s in client.services()]
    except (Unavailable, BadInput):  # the page says so, and goes on when it is over
        return []


def _follow(client: Client, incidents: st.Page) -> None:
    """Go to the incident that the address names: messages link to the console itself."""
    try:
        incident = client.incident(st.query_params["incident"])
    except (Unavailable, BadInput) as error:
        st.error(plain(str(error)))
    else:
        st.switch_page(incidents, query_params={"service": incident.service, "incident": incident.id})


def main() -> None:
    """The frame around the pages."""
    st.set_page_config("recwatch", page_icon=Path(__file__).with_name("icon.svg"), layout="wide")
    st.html(STYLE)
    try:
        client = _client(*sys.argv[1:3])
    except OSError as error:
        st.error(f"The token file cannot be read: {plain(str(error))}. Start the console with `recwatch up`.")
        return
    overview = st.Page(
        partial(_overview, client), title="Overview", icon=":material/list:", url_path="overview", default=True
    )
    of_one = {
        title: st.Page(partial(_of_one, client, body), title=title, url_path=title.lower(), icon=icon)
        for title, icon, body in (
            ("Live", ":material/monitoring:", live_page),
            ("Incidents", ":material/crisis_alert:", incidents_page),
            ("Proposals", ":material/tune:", proposals_page),
            ("Targets", ":material/dns:", targets_page),
        )
    }
    page = st.navigation([overview, *of_one.values()], position="top")
    if page == overview and "incident" in st.query_params:
        _follow(client, of_one["Incidents"])
    page.run()


if __name__ == "__main__":
    main()
