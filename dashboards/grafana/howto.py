"""How the dashboards get their figures, for whoever has just built them."""

from __future__ import annotations

SCRAPE_CONFIG = """\
scrape_configs:
  - job_name: recwatch
    scrape_interval: 5s
    static_configs: [{targets: ["127.0.0.1:8300"]}]    # recwatch's API
"""

HOWTO = f"""
Load them: in Grafana, Dashboards > New > Import, and upload the file; or let recwatch do it: recwatch dashboards push URL.
They read a Prometheus that scrapes recwatch's /metrics. On recwatch's machine, as the API listens on loopback alone:

{SCRAPE_CONFIG}"""
