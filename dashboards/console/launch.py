"""How the console is started as a child process."""

from __future__ import annotations

import sys
from pathlib import Path

_OPTIONS = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.level": "warning",
    "theme.baseFontSize": "14",
    "theme.primaryColor": "#3d8bfd",
    # The browser chooses between the two.
    "theme.dark.backgroundColor": "#0f1419",
    "theme.dark.secondaryBackgroundColor": "#182029",
    "theme.dark.textColor": "#d7dde4",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f2f5f8",
    "theme.light.textColor": "#1d2731",
}


def command(url: str, token_file: Path, port: int) -> list[str]:
    """The command line of a console on `port` of loopback, for the API at `url`; it approves with the token in the file.

    It ends when its standard input does: give it a pipe, and it never outlives the process that holds the other end.
    """
    app = Path(__file__).with_name("app.py")
    flags = [f"--{name}={value}" for name, value in {"server.port": port, **_OPTIONS}.items()]
    return [sys.executable, "-m", "dashboards.console", "run", str(app), *flags, "--", url, str(token_file)]
