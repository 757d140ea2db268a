"""What a collector knows of itself when it starts again: its name, and the services that were its share."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    services: frozenset[str]


_KEPT = TypeAdapter(_Kept)


class Share:
    """`name` tells this collector from others, and `services` are the last that it had; both are kept in `folder`.

    Where no file is there, or it is damaged, this is a new collector, which never had a share.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "share.json"
        kept = self._read()
        self.name = kept.name
        self.services = kept.services

    def keep(self, services: Collection[str]) -> None:
        """Remember these. A disk that refuses is told of, and no more: scraping goes on."""
        self.services = frozenset(services)
        draft = self._file.with_suffix(".draft")
        try:
            draft.write_bytes(_KEPT.dump_json(_Kept(self.name, self.services)))
            draft.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written (%s); the next start knows another share", self._file, error.strerror)

    def _read(self) -> _Kept:
        try:
            return _KEPT.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            logger.warning("%s is left out: it cannot be read (%s)", self._file, type(error).__name__)
        return _Kept(uuid4().hex, frozenset())
