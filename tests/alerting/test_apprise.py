"""Messages through Apprise to a real HTTP server and a real mail server."""

from __future__ import annotations

import email
import email.policy
import io
import logging
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import requests
from aiosmtpd.controller import Controller
from apprise.plugins.pushover import NotifyPushover

from alerting.delivery.channel import Channel, Delivery, DeliveryFailed, Notice
from alerting.delivery.channels import open_channel
from core.errors import InputError
from tests.alerting.delivery_desk import document, rules_of
from tests.alerting.webhook_receiver import Receiver
from tests.ports import free_port

HOSTILE = "Bank <!channel> <@U123> @everyone [a](http://evil.test) <b>x</b><script>y</script>\nBcc: a@evil.test\u202e"


class Mailbox:
    """What a mail server takes in."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 Message accepted for delivery"


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, str]]:
    """A mailbox and the address of its server."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield mailbox, f"127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture
def every_log() -> Iterator[io.StringIO]:
    """What a process at `log_level = "debug"` logs."""
    handler = logging.StreamHandler(io.StringIO())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.stream
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What goes out over HTTP, wherever to."""
    bodies: list[dict[str, Any]] = []

    def request(session: Any, method: str, url: str, data: Any = None, json: Any = None, **more: Any) -> Any:
        if isinstance(data, dict):
            bodies.append(data)
        elif json is not None or data.startswith(("{", b"{")):
            bodies.append(json or orjson.loads(data))
        else:
            bodies.append({name: value for name, (value,) in parse_qs(data).items()})
        answer = requests.Response()
        answer.status_code, answer._content = 200, b'{"ok": true}'
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    monkeypatch.setattr(NotifyPushover, "request_rate_per_sec", 0)  # seconds to wait
    return bodies


def opened(directory: Path, url: str, more: str = "") -> Channel:
    rules = rules_of(directory, f"[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = '{url}'\n{more}")
    return open_channel(rules.receivers[0], "")


def delivery(*documents: dict[str, Any], held: Any = None) -> Delivery:
    return Delivery("key", "entity=BANK", tuple(Notice(each) for each in documents), held)


def json_url(receiver: Receiver) -> str:
    return receiver.url.replace("http://", "json://someone:s3cretword@")


def test_a_message_is_title_and_body_by_the_receiver_s_templates(tmp_path: Path, receiver: Receiver) -> None:
    plain = opened(tmp_path, json_url(receiver))
    plain.send(delivery(document(severity="critical")))
    (delivered,) = receiver.documents
    assert delivered["title"] == "[critical] BANK: opened"
    assert delivered["message"] == (
        "BANK: 41 negative stories in 60 min, 6 expected, since 14:05\n"
        "- Bank fails (Wire)\n  https://news.test/a?b=1\nhttps://news.test/a?b=1"
    )
    assert delivered["type"] == "failure"
    own = opened(tmp_path, json_url(receiver), "title = '$change $$ $name'\nbody = '$observed of $expected: $words'\n")
    own.send(delivery(document(1, "resolved")))
    assert (receiver.documents[-1]["title"], receiver.documents[-1]["message"]) == (
        "resolved $ BANK",
        "41 of 6: fails, run",
    )
    assert receiver.documents[-1]["type"] == "success"
    own.send(delivery(document(1), document(2, series="topic=Earnings"), held="digest"))
    assert receiver.documents[-1]["title"] == "2 incidents since the last digest"
    assert receiver.documents[-1]["message"].splitlines() == [
        "opened $ BANK",
        document(1)["sentence"],
        "https://news.test/a?b=1",
        "",
        "opened $ Earnings",
        document(2, series="topic=Earnings")["sentence"],
        "https://news.test/a?b=1",
    ]


_SHORT = [  # a service, its limit, and its name for the text
    (f"discord://{'1' * 10}/{'a' * 64}", 2000, "content"),
    (f"tgram://123456789:{'a' * 35}/12315544", 4096, "text"),
    (f"pover://{'u' * 30}@{'a' * 30}", 1024, "message"),
    (f"twilio://AC{'a' * 32}:{'b' * 32}@15551233456/15551233457", 160, "Body"),
]


@pytest.mark.parametrize(("url", "limit", "text"), _SHORT, ids=[url.partition(":")[0] for url, _, _ in _SHORT])
def test_a_message_is_as_short_as_its_service_wants_it(
    tmp_path: Path, sent: list[dict[str, Any]], url: str, limit: int, text: str
) -> None:
    channel = opened(tmp_path, url)
    where = "https://news.test/" + "a" * 700
    stories = [{"headline": f"Bank & {i}: 万科🙂", "url": where + str(i), "sources": ["Wire"]} for i in range(9)]
    channel.send(delivery(document(severity="warning", evidence={"stories": stories})))
    (page,) = sent
    assert len(page[text].encode("utf-16-le")) // 2 <= limit
    title = page.get("title") or page[text].splitlines()[0]
    assert "[warning] BANK: opened" in title
    assert document()["sentence"] in page[text]
    assert page[text].count(where + "0") == (2 if limit >= 2000 else 1 if limit > 1000 else 0), "no address in part"
    opened(tmp_path, url).send(delivery(*(document(number) for number in range(1, 61)), held="digest"))
    digest = sent[1]
    assert len(digest[text].encode("utf-16-le")) // 2 <= limit
    assert "60 incidents since the last digest" in (digest.get("title") or digest[text].splitlines()[0])
    assert document()["sentence"] in digest[text]
    if limit > 1000:
        shown = digest[text].count(document()["sentence"])
        assert shown >= 5
        assert digest[text].rstrip().endswith(f"and {60 - shown} more: newstide alerts list")
    assert len(sent) == 2


def test_a_message_may_be_split_instead(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    channel = opened(tmp_path, _SHORT[2][0] + "?overflow=split")
    channel.send(delivery(*(document(number) for number in range(1, 41)), held="digest"))
    assert sum(each["message"].count(document()["sentence"]) for each in sent) == 40
    assert all(len(each["message"]) <= 1024 for each in sent)


def test_mail_arrives_with_nothing_in_it_that_a_feed_could_forge(tmp_path: Path, mail: tuple[Mailbox, str]) -> None:
    mailbox, server = mail
    channel = opened(
        tmp_path, f"mailto://{server}?from=newstide@desk.test&to=people@desk.test&mode=insecure&format=html"
    )
    stories = [{"headline": HOSTILE, "url": 'https://x.test/"><script>', "sources": [HOSTILE]}]
    channel.send(delivery(document(name=HOSTILE, sentence=HOSTILE, evidence={"stories": stories, "words": [HOSTILE]})))
    (message,) = mailbox.messages
    assert mailbox.recipients == ["people@desk.test"]
    assert message["Bcc"] is None
    assert "Bank" in message["Subject"]
    assert "\n" not in message["Subject"]
    html = next(part for part in message.walk() if part.get_content_type() == "text/html").get_content()
    assert "Bank" in html
    for forged in ("<script", "<b>", "<!channel", "<@U123", "@everyone", "](http", "\u202e", "\nBcc"):
        assert forged not in html
        assert forged not in message["Subject"]


def test_no_feed_can_mention_a_channel(tmp_path: Path, receiver: Receiver) -> None:
    channel = opened(tmp_path, f"mmost://127.0.0.1:{receiver.port}/3ccdd113474722377935511fc85d3dd4")
    channel.send(delivery(document(sentence=HOSTILE, name=HOSTILE)))
    (delivered,) = receiver.documents
    assert "Bank" in delivered["text"]
    for live in ("@everyone", "<!channel", "](http"):
        assert live not in delivered["text"]


@pytest.mark.parametrize(("status", "final"), [(400, True), (404, True), (429, False), (500, False)])
def test_a_refusal_is_final_where_another_try_would_fail_too(
    tmp_path: Path, receiver: Receiver, status: int, final: bool
) -> None:
    channel = opened(tmp_path, json_url(receiver))
    receiver.statuses = [status]
    with pytest.raises(DeliveryFailed, match=str(status)) as raised:
        channel.send(delivery(document()))
    assert raised.value.final is final
    assert not raised.value.unreachable


def test_secrets_of_addresses_are_in_no_log_and_no_error(
    tmp_path: Path, every_log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = Receiver()
    gone.close()
    channel = opened(tmp_path, json_url(gone))
    with pytest.raises(DeliveryFailed) as raised:
        channel.send(delivery(document()))
    assert raised.value.unreachable
    with pytest.raises(InputError, match=r"receiver `desk`: Apprise does not understand its `url`") as refused:
        opened(tmp_path, "nosuchservice://s3cretword/s3cretword")
    said = [str(raised.value), str(refused.value), repr(channel), every_log.getvalue(), *capfd.readouterr()]
    assert "s3cretword" not in " ".join(said)


def test_an_address_that_is_not_there_is_named_by_where_it_should_be(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'env:NO_SUCH_ADDRESS'\n")
    with pytest.raises(InputError, match=r"receiver `desk`: the environment variable NO_SUCH_ADDRESS is not set"):
        open_channel(rules.receivers[0], "")
