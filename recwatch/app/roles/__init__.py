"""The roles of recwatch, one a file: what each does in a process, whichever deployment it is part of."""

from __future__ import annotations

from enum import StrEnum

from recwatch.core.errors import BadInput


class RoleName(StrEnum):
    """The roles; `recwatch up` has all of them in one process."""

    collectors = "collectors"
    sink = "sink"
    detectors = "detectors"
    alerting = "alerting"
    tuning = "tuning"
    api = "api"
    console = "console"

    @classmethod
    def named(cls, text: str) -> RoleName:
        """The role of this name. Raises BadInput for none.

        >>> RoleName.named("sink")
        <RoleName.sink: 'sink'>
        """
        try:
            return cls(text)
        except ValueError:
            raise BadInput(f"'{text}' is no role; they are: {', '.join(cls)}") from None
