"""A server's own metric names → measures. A new kind of server is one file here and one line in `NORMALISERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from collectors.exposition import Line
from collectors.measures import Measure
from collectors.normalise.dcgm import DCGM
from collectors.normalise.recommender_ref import RECOMMENDER_REF


class Normaliser(Protocol):
    """Knows the names of one kind of server. Values equal to one of `blanks` mean that there is no reading."""

    blanks: tuple[float, ...]

    def recognises(self, name: str) -> bool:
        """Whether only this kind of server writes this name."""
        ...

    def measures(self, lines: Sequence[Line]) -> Sequence[tuple[Measure, ...]]:
        """What each line of a page measures; nothing where no canonical signal is made of it."""
        ...


NORMALISERS: Mapping[str, Normaliser] = {"recommender_ref": RECOMMENDER_REF, "dcgm": DCGM}


def recognise(lines: Sequence[Line]) -> str | None:
    """The kind of server that wrote the page; None for one that is not known here.

    >>> recognise([Line("up", {}, "gauge"), Line("DCGM_FI_DEV_GPU_UTIL", {"gpu": "0"}, "gauge")])
    'dcgm'
    """
    names = {line.name for line in lines}
    return next((kind for kind, server in NORMALISERS.items() if any(map(server.recognises, names))), None)
