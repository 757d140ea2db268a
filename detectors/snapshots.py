"""The memory of the stage as bytes: numpy's own format without pickle, array after array, behind a header in JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from recwatch.core.errors import BadInput


class HasState(Protocol):
    """Whatever has state in arrays."""

    def state(self) -> Mapping[str, npt.NDArray[Any]]: ...


class Keeps(HasState, Protocol):
    """Whatever can go on from such a state."""

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None: ...


def dump(header: Mapping[str, Any], parts: Mapping[str, HasState]) -> bytes:
    """The header and the state of each named part."""
    states = {part: keeper.state() for part, keeper in parts.items()}
    text = json.dumps([header, {part: list(state) for part, state in states.items()}])
    out = io.BytesIO()
    npy.write_array(out, np.frombuffer(text.encode(), dtype=np.uint8))
    for state in states.values():
        for array in state.values():
            npy.write_array(out, array, allow_pickle=False)
    return out.getvalue()


def load(snapshot: bytes) -> tuple[dict[str, Any], dict[str, dict[str, npt.NDArray[Any]]]]:
    """The header, and the state of each part by name. Raises BadInput for bytes that `dump` did not write."""
    written = io.BytesIO(snapshot)
    try:
        header, parts = json.loads(_next(written).tobytes())
        return header, {part: {name: _next(written) for name in names} for part, names in parts.items()}
    except ValueError as error:
        raise BadInput(f"the detectors' snapshot cannot be read ({error}); start without it") from error


def _next(written: io.BytesIO) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = npy.read_array(written, allow_pickle=False)
    return array
