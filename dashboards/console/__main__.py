"""Runs Streamlit with the arguments given, and ends with whoever started it: when standard input does."""

from __future__ import annotations

import os
import sys
from threading import Thread

from streamlit.web.cli import main


def _end_with_starter() -> None:
    """A killed process cannot stop its children, but the system closes its end of the pipe."""
    sys.stdin.buffer.read()
    os._exit(0)  # there is nothing to store, and nobody left to insist


if __name__ == "__main__":
    Thread(target=_end_with_starter, daemon=True).start()
    main(prog_name="recwatch-console")
