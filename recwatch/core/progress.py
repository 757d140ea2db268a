"""The word for how far recwatch itself has come with a service, and the service that recwatch is to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OWN = "recwatch"
"""The service whose incidents are about recwatch itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of each service, the newest sample time that one process has handled in `stage`, in unix milliseconds."""

    stage: str
    until_ms: Mapping[str, int]
