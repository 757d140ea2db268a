"""A server's own metric names → measures. A new kind of server is one file here and one line in `NORMALISERS`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

from collectors.exposition import Line
from collectors.measures import Labels, Measure
from collectors.normalise.amd import AMD
from collectors.normalise.anywhere import ANYWHERE
from collectors.normalise.dcgm import DCGM
from collectors.normalise.knative import KNATIVE
from collectors.normalise.kserve import KSERVE
from collectors.normalise.node_exporter import NODE_EXPORTER
from collectors.normalise.ray_node import RAY_NODE
from collectors.normalise.ray_serve import RAY_SERVE
from collectors.normalise.recommender_ref import RECOMMENDER_REF
from collectors.normalise.redis import REDIS
from collectors.normalise.rules import Table
from collectors.normalise.sglang import SGLANG
from collectors.normalise.tf_serving import TF_SERVING
from collectors.normalise.tgi import TGI
from collectors.normalise.torchserve import TORCHSERVE
from collectors.normalise.triton import TRITON
from collectors.normalise.vllm import TRTLLM, VLLM

NORMALISERS: Mapping[str, Table] = {
    "recommender_ref": RECOMMENDER_REF,
    "knative": KNATIVE,
    "ray_serve": RAY_SERVE,
    "vllm": VLLM,
    "sglang": SGLANG,
    "tgi": TGI,
    "trtllm": TRTLLM,
    "triton": TRITON,
    "torchserve": TORCHSERVE,
    "tf_serving": TF_SERVING,
    "kserve": KSERVE,
    "redis": REDIS,
    "dcgm": DCGM,
    "amd": AMD,
    "node_exporter": NODE_EXPORTER,
    "ray_node": RAY_NODE,
}
"""By kind. Of several kinds on one page the one that stands first here goes first: what is nearer to the user."""


def recognise(lines: Sequence[Line], first: str | None = None) -> tuple[str, ...]:
    """The kinds of servers that wrote the page, `first` before all others; none for a page that nobody here knows.

    >>> recognise([Line("up", {}, "gauge"), Line("DCGM_FI_DEV_GPU_UTIL", {"gpu": "0"}, "gauge")])
    ('dcgm',)
    """
    names = {line.name for line in lines}
    found = [kind for kind, server in NORMALISERS.items() if any(map(server.recognises, names))]
    return tuple(dict.fromkeys(([first] if first else []) + found))


def measures_of(lines: Sequence[Line], kinds: Sequence[str]) -> Sequence[tuple[Measure, ...]]:
    """What each line of a page of these kinds measures, and what is certain on any page.

    Where two kinds tell the same thing, such as a model server and the proxy in front of it the requests, the first counts;
    a later one adds only models of which the first says nothing, provided that both tell models apart.
    """
    models_told: dict[tuple[str, Labels], set[str]] = defaultdict(set)
    found: list[tuple[Measure, ...]] = [()] * len(lines)
    for normaliser in (*(NORMALISERS[kind] for kind in kinds), ANYWHERE):
        new = [
            tuple(m for m in measures if not _is_told(_model(m), models_told.get((m.family, m.thing), set())))
            for measures in normaliser.measures(lines)
        ]
        for measure in chain.from_iterable(new):
            models_told[measure.family, measure.thing].add(_model(measure))
        found = [before + more for before, more in zip(found, new, strict=True)]
    return found


def _model(measure: Measure) -> str:
    return dict(measure.labels).get("model", "")


def _is_told(model: str, of_models: set[str]) -> bool:
    return bool(of_models) and (not model or "" in of_models or model in of_models)
