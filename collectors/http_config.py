"""Who asks a server, and how the server is known: credentials and TLS, in Prometheus's own words."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recwatch.core.errors import BadInput
from recwatch.core.paths import ConfiguredPath


class Authorization(BaseModel):
    """A token of the file that is sent as `Authorization: TYPE TOKEN`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(default="Bearer", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    credentials_file: ConfiguredPath


class BasicAuth(BaseModel):
    """A name, and the file that holds its password."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str = Field(pattern=r"^[^:\x00-\x1f\x7f]*$")
    password_file: ConfiguredPath


class TlsConfig(BaseModel):
    """How the server proves who it is, and how we do. The system's authorities count where no `ca_file` is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: ConfiguredPath | None = None
    cert_file: ConfiguredPath | None = None
    key_file: ConfiguredPath | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _is_a_pair(self) -> TlsConfig:
        if (self.cert_file is None) != (self.key_file is None):
            raise BadInput("cert_file and key_file belong together; give both, or none")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.ca_file, self.cert_file, self.key_file) if file is not None)


class HttpConfig(BaseModel):
    """How to ask over HTTP. Secrets stay in their files, which are read again when they change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    authorization: Authorization | None = None
    basic_auth: BasicAuth | None = None
    tls_config: TlsConfig | None = None

    @model_validator(mode="after")
    def _says_who_once(self) -> HttpConfig:
        if self.authorization and self.basic_auth:
            raise BadInput("authorization and basic_auth are two ways to say who asks; give one of them")
        return self

    @property
    def http(self) -> HttpConfig:
        """These settings alone."""
        return HttpConfig(authorization=self.authorization, basic_auth=self.basic_auth, tls_config=self.tls_config)
