"""The edge to Kafka: where its brokers are, how to be let in, and their failures in our words."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from recwatch.core.bus.quirks import try_to_connect
from recwatch.core.environment import readable_file, secret
from recwatch.core.errors import BadInput, RecwatchError, Unavailable

PASSWORD_VARIABLE = "RECWATCH_KAFKA_PASSWORD"  # noqa: S105 (the name of the variable, not a password)
PASSWORD_FILE_VARIABLE = f"{PASSWORD_VARIABLE}_FILE"
CA_VARIABLE = "RECWATCH_KAFKA_CA_FILE"
CERTIFICATE_VARIABLE = "RECWATCH_KAFKA_CERTIFICATE_FILE"
KEY_VARIABLE = "RECWATCH_KAFKA_KEY_FILE"
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256")
REQUEST_S = 10.0
"""How long one question to a broker may take."""
REQUEST_MS = round(REQUEST_S * 1000)
START_S = 5.0
RECONNECT_S = 0.5
ATTEMPTS = 8
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_PROTOCOLS = {
    (False, False): "PLAINTEXT",
    (True, False): "SSL",
    (False, True): "SASL_PLAINTEXT",
    (True, True): "SASL_SSL",
}
_HINT = (
    "write memory for the one in this process, or kafka://host:9092,other:9092/prefix, with kafkas:// for TLS and user@"
    f" before the hosts for SCRAM; ?mechanism= is one of {', '.join(MECHANISMS)}"
)


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where a Kafka cluster is and who we are there. `prefix` begins the name of every topic and group."""

    hosts: tuple[str, ...]
    prefix: str = "recwatch"
    user: str = ""
    tls: bool = False
    mechanism: str = MECHANISMS[0]

    def __str__(self) -> str:
        return f"{'kafkas' if self.tls else 'kafka'}://{','.join(self.hosts)}/{self.prefix}"

    def arguments(self) -> dict[str, Any]:
        """What every client needs. Secrets come from files and the environment; raises BadInput where they do not."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": list(self.hosts),
            "client_id": "recwatch",
            "security_protocol": _PROTOCOLS[self.tls, bool(self.user)],
            "request_timeout_ms": REQUEST_MS,
            "bootstrap_timeout_ms": round(START_S * 1000),
            "reconnect_backoff_max_ms": round(RECONNECT_S * 1000),
        }
        if self.user:
            arguments |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": _Secret(_password()),
            }
        if self.tls:
            files = {"ssl_cafile": CA_VARIABLE, "ssl_certfile": CERTIFICATE_VARIABLE, "ssl_keyfile": KEY_VARIABLE}
            arguments |= {name: readable_file(variable) for name, variable in files.items() if variable in os.environ}
        return arguments


def parse_brokers(dsn: str) -> Brokers:
    """Where a Kafka bus is.

    >>> parse_brokers("kafka://127.0.0.1:9092")
    Brokers(hosts=('127.0.0.1:9092',), prefix='recwatch', user='', tls=False, mechanism='SCRAM-SHA-512')
    >>> str(parse_brokers("kafkas://ana@one.example:9093,two.example:9093/fleet"))
    'kafkas://one.example:9093,two.example:9093/fleet'
    """
    try:
        parts = urlsplit(dsn)
    except ValueError as error:
        raise BadInput(f"the bus's DSN is no address ({error}); {_HINT}") from error
    user, _, hosts = parts.netloc.rpartition("@")
    if ":" in user:
        raise BadInput(f"the bus's DSN holds a password; take it out and put it in {PASSWORD_VARIABLE}")
    addresses = tuple(host if ":" in host else f"{host}:9092" for host in hosts.split(","))
    prefix = parts.path.strip("/") or "recwatch"
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    mechanism = options.pop("mechanism", MECHANISMS[0])
    known = parts.scheme in {"kafka", "kafkas"} and not parts.fragment and not options and mechanism in MECHANISMS
    sound = all(re.fullmatch(r"[\w.-]+:\d{1,5}", address) for address in addresses) and re.fullmatch(r"[\w.-]+", prefix)
    if not (known and sound):
        raise BadInput(f"'{dsn}' names no bus; {_HINT}")
    return Brokers(addresses, prefix, user, parts.scheme == "kafkas", mechanism)


def _password() -> str:
    found = secret(PASSWORD_VARIABLE)
    if found is None:
        raise BadInput(
            f"the bus wants a user's password; put it in {PASSWORD_VARIABLE}, or its file in {PASSWORD_FILE_VARIABLE}"
        )
    return found


class _Secret(str):
    """A text that the client, which logs its settings when asked to say much, does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(secret)'"


@contextmanager
def starting(place: Brokers) -> Iterator[dict[str, Any]]:
    """The arguments for one client that is made inside. If it does not start, it is closed, and the error says why.

    kafka-python itself leaves sockets and a thread behind, and of a password that is refused says that it waited in vain.
    """
    from kafka.errors import KafkaTimeoutError  # noqa: PLC0415 (an extra; only who has a Kafka bus needs it)
    from kafka.net.compat import KafkaNetClient  # noqa: PLC0415 (as above)

    made: list[Any] = []

    def make(**settings: Any) -> Any:
        made.append(KafkaNetClient(**settings))
        return made[-1]

    with failures_of(place), ExitStack() as opened:
        opened.callback(lambda: [client.close() for client in made])
        try:
            yield place.arguments() | {"kafka_client": make}
        except KafkaTimeoutError as error:
            reason = _refusal(made[-1]) if place.user or place.tls else None
            if UNTRUSTED in str(reason):
                raise BadInput(f"bus {place}: its certificate is not trusted; see {CA_VARIABLE}") from error
            if reason is None and place.user:
                raise Unavailable(
                    f"bus {place}: it lets nobody in; see whether its brokers are up and, if so, the user and the password"
                ) from error
            raise reason or error from error
        opened.pop_all()


def _refusal(client: Any) -> Exception | None:
    """Why brokers that answer let nobody in; None if they do not answer. The answer is at times lost with the connection."""
    from kafka.errors import RequestTimedOutError, RetriableError  # noqa: PLC0415 (as above)

    for _ in range(ATTEMPTS):
        try:
            try_to_connect(client)
        except RequestTimedOutError:
            return None
        except Exception as error:  # noqa: BLE001 (raised by who asks)
            if not isinstance(error, RetriableError) or UNTRUSTED in str(error):
                return error
            time.sleep(RECONNECT_S)
    return None


@contextmanager
def failures_of(place: Brokers) -> Iterator[None]:
    """Say the failures of brokers in our words; a use of the client that is wrong passes through, and crashes."""
    from kafka.errors import KafkaError  # noqa: PLC0415 (an extra; only who has a Kafka bus needs it)

    try:
        yield
    except KafkaError as error:
        ours = _translated(place, error)
        if ours is None:
            raise
        raise ours from error


# What the client's errors mean for the person at the keyboard, each with all that derive from it, the nearest first. Any
# other is a bug of ours, and crashes.
_AWAY = (Unavailable, "this member was away too long; its partitions are another member's now")
_UNREACHABLE = (Unavailable, "it cannot be reached; see whether its brokers are up")
_TOO_LARGE = (BadInput, "the message is too large; raise max.message.bytes, or publish less at once")
_LOGIN = (BadInput, "it does not take this kind of login; see ?mechanism= in the DSN")
_MEANINGS: Mapping[str, tuple[type[RecwatchError], str]] = {
    "SaslAuthenticationFailedError": (BadInput, f"it refuses the user or the password; see the DSN and {PASSWORD_VARIABLE}"),
    "UnsupportedSaslMechanismError": _LOGIN,
    "IllegalSaslStateError": _LOGIN,
    "AuthorizationError": (
        BadInput,
        "the user may not do this; grant it all on topics and groups that begin with the prefix",
    ),
    "InvalidReplicationFactorError": (
        BadInput,
        "it has fewer brokers than copies are asked for; see its default.replication.factor",
    ),
    "PolicyViolationError": (BadInput, "it lets nobody make such topics; have them made"),
    "MessageSizeTooLargeError": _TOO_LARGE,
    "RecordListTooLargeError": _TOO_LARGE,
    "CommitFailedError": _AWAY,
    "IllegalGenerationError": _AWAY,
    "UnknownMemberIdError": _AWAY,
    "FencedInstanceIdError": _AWAY,
    "RebalanceInProgressError": (Unavailable, "the group shares its partitions out just now; try again"),
    "NonEmptyGroupError": (Unavailable, "the group still has members; end these first"),
    "BrokerNotAvailableError": _UNREACHABLE,
    "RetriableError": _UNREACHABLE,
}


def _translated(place: Brokers, error: Exception) -> RecwatchError | None:
    for kind in type(error).__mro__:
        if kind.__name__ in _MEANINGS:
            ours, meaning = _MEANINGS[kind.__name__]
            return ours(f"bus {place}: {meaning} ({type(error).__name__})")
    return None
