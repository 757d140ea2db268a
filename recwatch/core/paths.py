"""Paths that a configuration names, which are as seen from the folder of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo


def from_its_folder(path: Path, info: ValidationInfo) -> Path:
    """`path` from the folder that is the validation's context; without one, from the folder in which recwatch runs.

    >>> from pydantic import TypeAdapter
    >>> paths = TypeAdapter(tuple[ConfiguredPath, ...])
    >>> paths.validate_python((".recwatch/token", "/run/token"), context=Path("/etc/recwatch"))
    (PosixPath('/etc/recwatch/.recwatch/token'), PosixPath('/run/token'))
    """
    return Path(info.context or "") / path


def _pattern_from_its_folder(pattern: str, info: ValidationInfo) -> str:
    return str(from_its_folder(Path(pattern), info))


ConfiguredPath = Annotated[Path, AfterValidator(from_its_folder)]
ConfiguredPattern = Annotated[str, AfterValidator(_pattern_from_its_folder)]
"""Of paths."""
