"""Folders of this machine that recwatch keeps things in."""

from __future__ import annotations

import os
from pathlib import Path

from recwatch.core.errors import BadInput


def private_folder(folder: Path, of: str, setting: str) -> None:
    """Make a folder, for its owner only, if it is not there; `setting` is where another can be named.

    Raises BadInput, beginning with `of`, where it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{of}: the folder cannot be made ({error.strerror}); name another in {setting}") from error
    require_writable(folder, of, setting)


def require_writable(folder: Path, of: str, setting: str) -> None:
    """Raise BadInput where a folder may not be written, or could not be made where it is to be. Makes none."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK)):
        what = "the folder" if there == folder else str(there)
        raise BadInput(f"{of}: {what} may not be written; change its mode, or name another in {setting}")
