"""The memory of the stage as bytes: numpy's own format without pickle, and a header in JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recwatch.core.errors import BadInput

HEADER = "header"


class HasState(Protocol):
    """Whatever has state in arrays."""

    def state(self) -> Mapping[str, npt.NDArray[Any]]: ...


class Keeps(HasState, Protocol):
    """Whatever can go on from such a state."""

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None: ...


def dump(header: Mapping[str, Any], parts: Mapping[str, HasState]) -> bytes:
    """The header and the state of each named part."""
    arrays = {f"{part}/{name}": array for part, keeper in parts.items() for name, array in keeper.state().items()}
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez(out, **{HEADER: text}, **arrays)  # type: ignore[arg-type]  # the stub takes the keywords for allow_pickle
    return out.getvalue()


def load(snapshot: bytes) -> tuple[dict[str, Any], dict[str, dict[str, npt.NDArray[Any]]]]:
    """The header, and the state of each part by name. Raises BadInput for bytes that `dump` did not write."""
    try:
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as arrays:
            header = json.loads(arrays[HEADER].tobytes())
            states: dict[str, dict[str, npt.NDArray[Any]]] = {}
            for key in arrays.files:
                part, slash, name = key.partition("/")
                if slash:
                    states.setdefault(part, {})[name] = arrays[key]
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"the detectors' snapshot cannot be read ({error}); start without it") from error
    return header, states
