"""Prints messages to a console."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text

from alerting.message import Message, Occasion


class PrinterConfig(BaseModel):
    """Messages on standard output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["printer"] = "printer"


class Printer:
    """Prints each message, subject in colour, to `console`. Markup in texts from outside is shown, never obeyed."""

    def __init__(self, _config: PrinterConfig, console: Console | None = None) -> None:
        self._console = console or Console()

    def send(self, message: Message) -> None:
        subject, _, rest = message.text.partition("\n")
        shown = Text(subject, style=_STYLES.get(message.occasion, "bold red"))
        self._console.print(shown.append(Text("\n" + rest, style="not bold default")), soft_wrap=True)

    def close(self) -> None:
        """The console is not ours to close."""


_STYLES: dict[Occasion, str] = {"resolved": "bold green"}
