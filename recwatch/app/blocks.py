"""Titles, notes and tables of a report."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def title(text: str) -> RenderableType:
    """A heading with room above it."""
    return Text(f"\n{text}", style="bold")


def note(text: str | Text) -> RenderableType:
    """A paragraph that belongs to what stands above it."""
    return Padding(text if isinstance(text, Text) else Text(text, style="dim"), (0, 0, 0, 2))


def table(*columns: str, whole: tuple[int, ...] = (0,), right: tuple[int, ...] = (), tight: bool = False) -> Table:
    """A table whose cells break anywhere, but for the columns `whole`; the columns `right` are of numbers.

    Where it is `tight`, its columns stand closer together.
    """
    made = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=not tight, padding=(0, 1, 0, 0 if tight else 1))
    for place, column in enumerate(made.columns):
        column.overflow = "fold"
        column.no_wrap = place in whole
        column.justify = "right" if place in right else "left"
    return made
