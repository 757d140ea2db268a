"""What may be tuned of a service, how, and how carefully."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recwatch.core.errors import BadInput
from recwatch.core.faults import sentences
from recwatch.core.http_address import require_http
from tuning.actuators import ACTUATORS, Actuator
from tuning.policies import POLICIES, Policy


class ActuatorConfig(BaseModel):
    """Where the knobs are: `kind` names an actuator, `url` the resource. A call waits at most `timeout_s` seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "http_knobs"
    url: str
    timeout_s: float = Field(default=2.0, gt=0.0, le=30.0)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in ACTUATORS:
            raise ValueError(f"no actuator is called '{kind}'; there are: {', '.join(ACTUATORS)}")
        return kind

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return require_http(url)

    def connect(self) -> Actuator:
        return ACTUATORS[self.kind](self.url, self.timeout_s)


class Bounds(BaseModel):
    """A range narrower than the server's own. Both ends are allowed values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = None
    high: float | None = None


class VerifyConfig(BaseModel):
    """When a change is judged, in seconds of sample time.

    Not before `settle_s` after it and until the backlog is gone, which is given `settle_limit_s` for it; then over at least
    `requests` requests and `shortest_s`, at most `longest_s`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settle_s: float = Field(default=4.0, ge=0.0)
    settle_limit_s: float = Field(default=20.0, ge=0.0)
    requests: int = Field(default=500, ge=100)
    shortest_s: float = Field(default=10.0, gt=0.0)
    longest_s: float = Field(default=60.0, gt=0.0)


class TuningConfig(BaseModel):
    """Tuning of one service.

    `policies` names policies with their options. Between two changes lie `cool_down_s` seconds, and an hour sees at most
    `changes_per_hour`. A proposal that nobody decides on expires after `expiry_s`. Knobs are read every `read_every_s`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    actuator: ActuatorConfig
    policies: Mapping[str, dict[str, Any]] = {"batching": {}, "rollback": {}}
    approval: Literal["manual", "auto"] = "manual"
    cool_down_s: float = Field(default=60.0, ge=0.0)
    changes_per_hour: int = Field(default=6, ge=1)
    expiry_s: float = Field(default=900.0, gt=0.0)
    read_every_s: float = Field(default=15.0, gt=0.0)
    bounds: Mapping[str, Bounds] = {}
    verify: VerifyConfig = VerifyConfig()

    @field_validator("policies")
    @classmethod
    def _usable(cls, policies: Mapping[str, dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
        for name, options in policies.items():
            if name not in POLICIES:
                raise ValueError(f"no policy is called '{name}'; there are: {', '.join(POLICIES)}")
            try:
                POLICIES[name].model_validate(options)
            except ValidationError as error:
                raise BadInput(f"in {name}, {'; '.join(sentences(error.errors(), POLICIES[name]))}") from error
        return policies

    def chosen_policies(self) -> dict[str, Policy]:
        return {name: POLICIES[name].model_validate(options) for name, options in self.policies.items()}
