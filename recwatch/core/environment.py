"""Secrets and files that environment variables name."""

from __future__ import annotations

import os
from pathlib import Path

from recwatch.core.errors import BadInput


def secret(variable: str) -> str | None:
    """What `variable` holds, or else the file that `variable`_FILE names, without the space around it; None without either.

    Raises BadInput where that file cannot be read.
    """
    if variable in os.environ:
        return os.environ[variable]
    if f"{variable}_FILE" in os.environ:
        return Path(readable_file(f"{variable}_FILE")).read_text(encoding="utf-8").strip()
    return None


def readable_file(variable: str) -> str:
    """The path that `variable` holds. Raises BadInput where it cannot be read."""
    path = os.environ[variable]
    if not os.access(path, os.R_OK):
        raise BadInput(f"{variable} names {path}, which cannot be read; name a file that can")
    return path
