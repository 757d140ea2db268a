"""What recwatch knows, turned into pictures: a console for people in a browser, and dashboards for Grafana."""
