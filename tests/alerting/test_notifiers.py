"""The contract of every notifier, and what the webhook sends to a real receiver on loopback."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from alerting.message import Message, message_of
from alerting.notifiers import NOTIFIERS, Notifier, NotifierConfig, notifier_of
from alerting.notifiers.printer import Printer, PrinterConfig
from alerting.notifiers.webhook import Webhook, WebhookConfig
from recwatch.core.bus import Record
from recwatch.core.clock import FakeClock
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Evidence
from tests.alerting.scenarios import DEPLOY, DEPLOYED, SERIES, Harness, at, at_once, deploy_events

GOLDEN = Path(__file__).parent / "golden" / "webhook_v1.json"
SECRET = "correct horse battery staple"


@cache
def message(text: str = "ranker v2") -> Message:
    """The page of a deploy, with `text` where the outside world has a say."""
    harness = Harness()
    events = deploy_events()
    events[120] = [replace(DEPLOYED, text=text)]
    incident = harness.run(DEPLOY, events, end_s=128)[-1]
    said = f"since deploy {text} mean latency is 34 % higher at equal load (31 % to 37 %)"
    shift = Evidence(said, SERIES["latency_mean_seconds"].key, 1.34, 1.0)
    incident = replace(incident, shifts=(shift,))
    return message_of(incident, "open", at(128), "http://127.0.0.1:8501/")


@dataclass(slots=True)
class Receiver:
    """Answers each request with the next of `answers`, the last one for ever, and keeps what it got."""

    answers: list[tuple[int, dict[str, str]]]
    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def next_answer(self) -> tuple[int, dict[str, str]]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: tuple[int, dict[str, str]], answer: bytes = b"") -> Receiver:
        receiver = Receiver(list(answers) or [(204, {})])

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status, headers = receiver.next_answer()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/t0ken"
        return receiver

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def webhook() -> Iterator[Callable[..., Webhook]]:
    made: list[Webhook] = []

    def make(url: str, **settings: Any) -> Webhook:
        made.append(Webhook(WebhookConfig.model_validate({"url": url, **settings}), FakeClock(at(130))))
        return made[-1]

    yield make
    for one in made:
        one.close()


def printer() -> tuple[Printer, io.StringIO]:
    shown = io.StringIO()
    return Printer(PrinterConfig(), Console(file=shown, force_terminal=False, width=40)), shown


@pytest.mark.parametrize("kind", NOTIFIERS)
def test_contract_delivers_the_whole_text_and_obeys_no_markup(
    kind: str, receive: Callable[..., Receiver], webhook: Callable[..., Webhook]
) -> None:
    sent = message("[bold]<b>v2</b>[/bold]\x1b[31m\r\nCause    all is well\u202e {x} %s")
    receiver = receive()
    told, shown = printer()
    notifiers: dict[str, Notifier] = {"printer": told, "webhook": webhook(receiver.url)}
    notifiers[kind].send(sent)
    text = shown.getvalue() if kind == "printer" else json.loads(receiver.got[0][1])["text"]
    assert text.strip() == sent.text.strip()
    assert "[bold]<b>v2</b>[/bold]·[31m··Cause    all is well· {x} %s" in text
    assert not {"\x1b", "\r", "\u202e"} & set(text)


@pytest.mark.parametrize("kind", NOTIFIERS)
def test_contract_is_made_from_its_configuration_and_refuses_unknown_keys(kind: str) -> None:
    needed = {"webhook": {"url": "http://127.0.0.1:1/"}}.get(kind, {})
    adapter: TypeAdapter[Any] = TypeAdapter(NotifierConfig)
    assert type(notifier_of(adapter.validate_python({"type": kind, **needed}))) is NOTIFIERS[kind]
    with pytest.raises(ValidationError, match="colour"):
        adapter.validate_python({"type": kind, **needed, "colour": "red"})


def test_the_payload_is_as_documented(receive: Callable[..., Receiver], webhook: Callable[..., Webhook]) -> None:
    receiver = receive()
    webhook(receiver.url).send(message())
    assert json.loads(receiver.got[0][1]) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_signature_covers_timestamp_and_body(
    receive: Callable[..., Receiver], webhook: Callable[..., Webhook], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    receiver = receive()
    webhook(receiver.url, secret_file=tmp_path / "secret").send(message())
    headers, body = receiver.got[0]
    assert headers["x-recwatch-timestamp"] == str(at(130) // 1000)
    signed = headers["x-recwatch-timestamp"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["x-recwatch-signature"], expected)
    assert headers["x-recwatch-message-id"] == json.loads(body)["message_id"]


def test_without_a_secret_nothing_is_signed(receive: Callable[..., Receiver], webhook: Callable[..., Webhook]) -> None:
    receiver = receive()
    webhook(receiver.url).send(message())
    assert "x-recwatch-signature" not in receiver.got[0][0]


@pytest.mark.parametrize(
    ("status", "headers", "retry_after_s"),
    [
        (503, {}, 5.0),
        (500, {"Retry-After": "0"}, 0.0),
        (429, {"Retry-After": "17"}, 17.0),
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:16:30 GMT"}, 60.0),
        (429, {"Retry-After": "9" * 400}, 3600.0),
        (429, {"Retry-After": "Tue, 14 Nov 2033 22:16:30 GMT"}, 3600.0),
        (429, {"Retry-After": f"Tue, 14 Nov {'9' * 30} 22:16:30 GMT"}, 5.0),
        (408, {"Retry-After": "never"}, 5.0),
    ],
)
def test_what_may_pass_is_unavailable(
    status: int,
    headers: dict[str, str],
    retry_after_s: float,
    receive: Callable[..., Receiver],
    webhook: Callable[..., Webhook],
) -> None:
    with pytest.raises(Unavailable, match=str(status)) as caught:
        webhook(receive((status, headers)).url).send(message())
    assert caught.value.retry_after_s == retry_after_s


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_what_will_not_pass_is_refused(
    status: int, receive: Callable[..., Receiver], webhook: Callable[..., Webhook]
) -> None:
    with pytest.raises(BadInput, match=f"answered {status}"):
        webhook(receive((status, {"Location": "http://127.0.0.1:1/"})).url).send(message())


def test_the_outbox_tries_again_with_the_same_message_until_it_is_taken(
    receive: Callable[..., Receiver], webhook: Callable[..., Webhook]
) -> None:
    receiver = receive((503, {}), (429, {"Retry-After": "30"}), (200, {}))
    outbox = at_once({"hook": webhook(receiver.url)})
    outbox.process([Record("incidents", 0, 0, "recommender", message().incident)], at(130))
    for second in (131, 135, 164, 165, 200):
        outbox.process([], at(second))
    assert len(receiver.got) == 3
    assert len({headers["x-recwatch-message-id"] for headers, _ in receiver.got}) == 1
    assert (outbox.alerts_sent, outbox.alerts_failed, outbox.pending) == ({"hook": 1}, {"hook": 0}, 0)


def test_a_refused_connection_is_unavailable(webhook: Callable[..., Webhook]) -> None:
    with pytest.raises(Unavailable, match=r"webhook 127\.0\.0\.1: ConnectError"):
        webhook("http://127.0.0.1:1/").send(message())


def test_an_answer_that_cannot_be_read_is_unavailable(
    webhook: Callable[..., Webhook], receive: Callable[..., Receiver]
) -> None:
    garbled = receive((200, {"Content-Encoding": "gzip"}), answer=b"no gzip")
    with pytest.raises(Unavailable, match=r"webhook 127\.0\.0\.1: DecodingError"):
        webhook(garbled.url).send(message())


def test_secrets_are_in_no_repr_no_log_and_no_error(
    receive: Callable[..., Receiver],
    webhook: Callable[..., Webhook],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    hook = webhook(receive((204, {}), (404, {})).url, secret_env="HOOK_SECRET")
    with caplog.at_level(logging.INFO):
        hook.send(message())
        with pytest.raises(BadInput) as caught:
            hook.send(message())
    everything = "".join(
        [repr(hook), repr(vars(hook)["_config"]), str(vars(hook)["_config"]), str(caught.value), caplog.text]
    )
    assert SECRET not in everything
    assert "t0ken" not in everything


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"secret_env": "RECWATCH_NO_SUCH"}, "environment variable RECWATCH_NO_SUCH is empty"),
        ({"secret_file": "/nonexistent/secret"}, "cannot read the secret's file /nonexistent/secret"),
    ],
)
def test_a_missing_secret_stops_at_start(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        Webhook(WebhookConfig.model_validate({"url": "http://127.0.0.1:1/", **settings}))


def test_two_secrets_are_refused() -> None:
    with pytest.raises(ValidationError, match="not both"):
        WebhookConfig.model_validate({"url": "http://127.0.0.1:1/", "secret_env": "A", "secret_file": "b"})
