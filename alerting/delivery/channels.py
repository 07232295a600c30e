"""The ways out that settings and rules ask for."""

from __future__ import annotations

from alerting.delivery.alertmanager import Alertmanager
from alerting.delivery.alerts_topic import AlertsTopic
from alerting.delivery.channel import Channel
from alerting.delivery.webhook import Webhook
from alerting.rules.alert_rules import AlertRules, Receiver
from alerting.rules.alerts_file import load_rules
from core.errors import InputError
from core.logs import hide
from core.settings import Settings
from core.web import is_header, is_web_address


def open_channels(settings: Settings, rules: AlertRules) -> list[Channel]:
    """The Kafka topic and the webhook of the settings, which get every change, then the receivers of `rules`.

    Raises InputError naming the receiver whose address is missing or of no use.
    """
    channels: list[Channel] = []
    if settings.kafka.bootstrap_servers:
        channels.append(AlertsTopic(settings))
    if settings.alerting.webhook_url:
        channels.append(Webhook(settings.alerting.webhook_url, settings.alerting.webhook_timeout_s))
    return channels + [open_channel(receiver, rules.link) for receiver in rules.receivers]


def check_receivers(settings: Settings) -> None:
    """Raise InputError for rules that can't be read, or a receiver that can't be reached; nothing is sent."""
    for channel in open_channels(settings, load_rules(settings)):
        channel.close()


def open_channel(receiver: Receiver, link: str) -> Channel:
    """The way to one receiver. Raises InputError where its address is missing or of no use."""
    try:
        url = receiver.url.reveal()
        _check_secrets(receiver, url)
    except InputError as error:
        raise InputError(f"receiver `{receiver.name}`: {error}") from None
    hide([url])
    if receiver.type == "alertmanager":
        return Alertmanager(receiver, link)
    if receiver.type == "webhook":
        return Webhook(url, receiver.timeout_s, receiver.name, receiver.headers)
    from alerting.delivery.apprise_service import AppriseService  # a second and 27 MB, for those who need it

    return AppriseService(receiver, link)


def _check_secrets(receiver: Receiver, url: str) -> None:
    """Raise InputError, without the value, for what is of no use where it is kept: the file was checked without it."""
    if receiver.type != "apprise" and not is_web_address(url):
        raise InputError(f"the `url` in {receiver.url.origin} is no web address; expected http://... or https://...")
    for name, secret in receiver.headers.items():
        if not is_header(name, secret.reveal()):
            raise InputError(
                f"the header `{name}` in {secret.origin} has characters that no header may have; "
                "expected letters, digits and signs of ASCII in one line"
            )
