"""A real Kafka cluster on free loopback ports: a process for each broker, their files in one folder."""

from __future__ import annotations

import base64
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster.java import Missing, kafka_command
from cluster.ports import free_ports

USER, PASSWORD = "watcher", "a secret of this run only"
STARTS_S, STOPS_S = 90.0, 20.0
HEAP_MB: Mapping[int, int] = {1: 512, 3: 256}
"""For each broker of so many."""


@dataclass(eq=False)
class Broker:
    """One node, broker and controller in one. `plain` and `secure` are its addresses, as host:port, for good.

    `start` returns once it takes connections; after `kill`, with the data that it had.
    """

    number: int
    folder: Path
    ports: tuple[int, int, int]
    java: Sequence[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def plain(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def secure(self) -> str:
        return f"localhost:{self.ports[1]}"

    @property
    def controller(self) -> str:
        return f"127.0.0.1:{self.ports[2]}"

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    def launch(self) -> None:
        """Start it, without waiting."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self.java, "kafka.Kafka", str(self.settings)], stdout=log, stderr=log)

    def wait(self) -> None:
        """Return once it takes connections; raise RuntimeError with its last words when it does not."""
        deadline = time.monotonic() + STARTS_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports[0]), timeout=1).close()
            except OSError as error:
                if not self.running or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(self._log.read_text()[-4000:]) from error
                time.sleep(0.05)
            else:
                return

    def start(self) -> None:
        self.launch()
        self.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it at once, as a crash of its machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPS_S)

    def pause(self) -> None:
        """Have it do nothing, with all its connections open, until `resume`."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError(f"broker {self.number} was not started")
        self._process.send_signal(number)

    @property
    def _log(self) -> Path:
        return self.folder / "broker.log"


@dataclass(frozen=True)
class LocalKafka:
    """A cluster that runs. `plain` and `secure` are its addresses, as a bus's DSN names them.

    `secure` wants TLS and SCRAM-SHA-512; `certificate` signs it, `USER` and `PASSWORD` open it.
    """

    brokers: tuple[Broker, ...]
    certificate: Path

    @property
    def plain(self) -> str:
        return ",".join(broker.plain for broker in self.brokers)

    @property
    def secure(self) -> str:
        return ",".join(broker.secure for broker in self.brokers)


@contextmanager
def local_kafka(folder: Path, count: int = 1) -> Iterator[LocalKafka]:
    """A cluster of `count` brokers, 1 or 3, for as long as the context lasts. Raises Missing for what this machine lacks.

    Topics have a copy on every broker; of three, two must have a record before it is acknowledged.
    """
    java = kafka_command(HEAP_MB[count])
    ports = iter(free_ports(3 * count))
    brokers = tuple(
        Broker(number, folder / str(number), (next(ports), next(ports), next(ports)), java) for number in range(1, count + 1)
    )
    for broker in brokers:
        broker.folder.mkdir(parents=True, exist_ok=True)
    certificate, store = _certificate_and_store(folder)
    for broker in brokers:
        lines = _settings(broker, brokers, store)
        broker.settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    _format(brokers)
    with ExitStack() as stack:
        for broker in brokers:
            stack.callback(broker.kill)
            broker.launch()
        for broker in brokers:
            broker.wait()
        yield LocalKafka(brokers, certificate)


def _settings(broker: Broker, all_: Sequence[Broker], store: Path) -> Mapping[str, object]:
    copies, needed = len(all_), len(all_) // 2 + 1
    return {
        "process.roles": "broker,controller",
        "node.id": broker.number,
        "controller.quorum.voters": ",".join(f"{one.number}@{one.controller}" for one in all_),
        "listeners": f"PLAIN://{broker.plain},SECURE://127.0.0.1:{broker.ports[1]},CONTROLLER://{broker.controller}",
        "advertised.listeners": f"PLAIN://{broker.plain},SECURE://{broker.secure}",
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAIN",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": store,
        "log.dirs": broker.folder / "log",
        "default.replication.factor": copies,
        "min.insync.replicas": needed,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": needed,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": needed,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 500,
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": 2 * 2**20,
        "log.segment.bytes": 2**24,
        "log.index.size.max.bytes": 2**16,
        "num.io.threads": 2,
        "num.network.threads": 2,
    }


def _format(brokers: Sequence[Broker]) -> None:
    """Prepare the folders of all brokers at a time."""
    # The first byte keeps it from beginning with a dash, as if it were an option.
    name = base64.urlsafe_b64encode(b"r" + secrets.token_bytes(15)).decode().rstrip("=")
    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    with ExitStack() as stack:
        formatting = []
        for broker in brokers:
            log = stack.enter_context((broker.folder / "format.log").open("wb"))
            asked = ["kafka.tools.StorageTool", "format", "-t", name, "-c", str(broker.settings), "--add-scram", scram]
            formatting.append(stack.enter_context(subprocess.Popen([*broker.java, *asked], stdout=log, stderr=log)))
        for broker, process in zip(brokers, formatting, strict=True):
            if process.wait(STARTS_S):
                raise RuntimeError((broker.folder / "format.log").read_text()[-4000:])


def _certificate_and_store(folder: Path) -> tuple[Path, Path]:
    """What clients trust, and what brokers hold: key and certificate of `localhost`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Missing("openssl makes the brokers' certificate; install it")
    certificate, key, both = (folder / name for name in ("certificate.pem", "key.pem", "store.pem"))
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    where = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *make, *where], check=True, capture_output=True, timeout=STARTS_S)
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, both
