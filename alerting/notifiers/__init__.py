"""Message → someone who should know. One file a way of telling, one line in NOTIFIERS.

`send` raises `Unavailable` when trying again later may help, and `BadInput` when it will not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from alerting.notifiers.notifier import Notifier
from alerting.notifiers.printer import Printer, PrinterConfig
from alerting.notifiers.webhook import Webhook, WebhookConfig

NotifierConfig = Annotated[PrinterConfig | WebhookConfig, Field(discriminator="type")]

NOTIFIERS: Mapping[str, Callable[[Any], Notifier]] = {"printer": Printer, "webhook": Webhook}


def notifier_of(config: NotifierConfig) -> Notifier:
    """The notifier that a configuration asks for."""
    return NOTIFIERS[config.type](config)


__all__ = ["NOTIFIERS", "Notifier", "NotifierConfig", "notifier_of"]
