"""Who asks and who answers: secrets and certificates from files, over real sockets and real TLS."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.collectors.scenes import Watch
from tests.collectors.server import PageServer, page, redirect, serving

SECRET = "s3cret-of-the-shop"


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        running.answers = {"/metrics": page("a 1\n")}
        yield running


@contextmanager
def watching(url: str, **settings: Any) -> Iterator[Watch]:
    watch = Watch.of(url, scrape_interval="5s", **settings)
    try:
        yield watch
    finally:
        watch.close()


def secret_file(folder: Path, secret: str = SECRET) -> str:
    file = folder / "secret"
    file.write_text(secret + "\n")
    return str(file)


def up(watch: Watch) -> bool:
    """Whether the only target is up after a scrape."""
    return watch.signals(watch.tick())["targets_up_ratio"] == 1.0


def why_down(watch: Watch) -> tuple[str, str]:
    """The reason, in one word and in a sentence, why the only target is down."""
    failed = watch.collector.counters.scrapes_failed
    failed.clear()
    assert not up(watch)
    (reason,) = failed
    return reason, watch.collector.targets()[0].last_error


def test_a_token_is_read_anew_from_its_file(server: PageServer, tmp_path: Path) -> None:
    file = secret_file(tmp_path)
    with watching(server.url("/metrics"), authorization={"credentials_file": file}) as watch:
        assert up(watch)
        secret_file(tmp_path, "another")
        assert up(watch)
    assert [request["Authorization"] for request in server.requests] == [f"Bearer {SECRET}", "Bearer another"]


def test_a_user_and_a_password(server: PageServer, tmp_path: Path) -> None:
    auth = {"username": "sre", "password_file": secret_file(tmp_path)}
    with watching(server.url("/metrics"), basic_auth=auth) as watch:
        assert up(watch)
    kind, _, pair = server.requests[0]["Authorization"].partition(" ")
    assert (kind, base64.b64decode(pair).decode()) == ("Basic", f"sre:{SECRET}")


def test_what_one_target_needs_counts_instead_of_what_its_service_says(server: PageServer, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("own")
    server.answers["/gpu"] = page("b 1\n")
    targets = [
        {"url": server.url("/gpu"), "authorization": {"type": "Token", "credentials_file": str(own)}},
        server.url("/metrics"),
    ]
    watch = Watch.of(targets=targets, authorization={"credentials_file": secret_file(tmp_path)}, scrape_interval="5s")
    assert up(watch)
    watch.close()
    assert {request["Authorization"] for request in server.requests} == {"Token own", f"Bearer {SECRET}"}


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"two\nlines"])
def test_a_file_without_a_secret_is_named_and_nothing_is_asked(
    server: PageServer, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with watching(server.url("/metrics"), authorization={"credentials_file": str(file)}) as watch:
        reason, sentence = why_down(watch)
    assert (reason, server.requests) == ("credentials", [])
    assert str(file) in sentence


def test_a_secret_is_told_to_nobody(
    server: PageServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    with watching(server.url("/metrics"), authorization={"credentials_file": secret_file(tmp_path)}) as watch:
        tick = watch.tick()
        server.answers["/metrics"] = page("", status=401)
        reason, sentence = why_down(watch)
        told = [tick, watch.known, watch.collector.scrapes.endpoints, watch.collector.targets(), sentence, caplog.text]
    assert reason == "http_status"
    assert SECRET not in "".join(map(repr, told)) + "".join(capfd.readouterr())
    assert all(SECRET in request["Authorization"] for request in server.requests)


def test_a_redirect_takes_no_secret_to_another_host_and_keeps_it_on_its_own(server: PageServer, tmp_path: Path) -> None:
    with serving() as other:
        other.answers = {"/metrics": page("a 1\n")}
        server.answers |= {"/away": redirect(other.url("/metrics")), "/here": redirect("/metrics")}
        for path in ("/away", "/here"):
            with watching(server.url(path), authorization={"credentials_file": secret_file(tmp_path)}) as watch:
                assert up(watch)
        assert [request.get("Authorization") for request in other.requests] == [None]
    assert [request.get("Authorization") for request in server.requests] == [f"Bearer {SECRET}"] * 3


class Authority:
    """A certificate authority of the test's own, and the files that it hands out."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, name: str = "127.0.0.1", callers: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        self._ca.configure_trust(context)
        context.verify_mode = callers
        return context

    def caller(self) -> dict[str, str]:
        """The keys of a configuration for a client that the authority knows."""
        certificate, files = self._ca.issue_cert("recwatch.test"), [self._folder / "cert.pem", self._folder / "key.pem"]
        certificate.cert_chain_pems[0].write_to_path(files[0])
        certificate.private_key_pem.write_to_path(files[1])
        return {"cert_file": str(files[0]), "key_file": str(files[1])}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_server_is_trusted_by_its_authority(authority: Authority) -> None:
    with serving(authority.server()) as server:
        server.answers = {"/metrics": page("a 1\n")}
        with watching(server.url("/metrics")) as watch:
            reason, sentence = why_down(watch)
            assert reason == "tls"
            assert sentence.endswith("do not agree on TLS: self-signed certificate in certificate chain")
        with watching(server.url("/metrics"), tls_config={"ca_file": str(authority.ca_file)}) as watch:
            assert up(watch)
        with watching(server.url("/metrics"), tls_config={"insecure_skip_verify": True}) as watch:
            assert up(watch)


def test_a_server_goes_by_the_name_that_its_certificate_has(authority: Authority) -> None:
    with serving(authority.server("shop.test")) as server:
        server.answers = {"/metrics": page("a 1\n")}
        trusted = {"ca_file": str(authority.ca_file)}
        with watching(server.url("/metrics"), tls_config=trusted) as watch:
            assert why_down(watch)[0] == "tls"
        with watching(server.url("/metrics"), tls_config=trusted | {"server_name": "shop.test"}) as watch:
            assert up(watch)


def test_an_authority_that_is_replaced_is_read_anew(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with serving(other.server()) as server:
        server.answers = {"/metrics": page("a 1\n")}
        with watching(server.url("/metrics"), tls_config={"ca_file": str(authority.ca_file)}) as watch:
            assert why_down(watch)[0] == "tls"
            authority.ca_file.write_bytes(other.ca_file.read_bytes())
            assert up(watch)
            authority.ca_file.write_text("no certificate")
            reason, sentence = why_down(watch)
            assert reason == "tls"
            assert str(authority.ca_file) in sentence


def test_a_server_that_wants_to_know_us_gets_our_certificate(authority: Authority) -> None:
    trusted = {"ca_file": str(authority.ca_file)}
    with serving(authority.server(callers=ssl.CERT_REQUIRED)) as server:
        server.answers = {"/metrics": page("a 1\n")}
        with watching(server.url("/metrics"), tls_config=trusted) as watch:
            assert not up(watch)
        assert server.callers == []
        with watching(server.url("/metrics"), tls_config=trusted | authority.caller()) as watch:
            assert up(watch)
        assert "recwatch.test" in str(server.callers)


def test_a_redirect_takes_no_certificate_to_another_host(authority: Authority) -> None:
    tls = {"ca_file": str(authority.ca_file)} | authority.caller()
    asks = authority.server(callers=ssl.CERT_OPTIONAL)
    with serving(asks) as server, serving(asks) as other:
        other.answers = {"/metrics": page("a 1\n")}
        server.answers = {"/away": redirect(other.url("/metrics"))}
        with watching(server.url("/away"), tls_config=tls) as watch:
            assert up(watch)
        assert "recwatch.test" in str(server.callers)
        assert other.callers == [None]
