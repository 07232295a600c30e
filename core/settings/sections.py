"""The sections of the settings, one a room and one for each part that all share. The fields' docstrings are their
documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class KafkaSettings(Section):
    bootstrap_servers: str | None = None
    """Brokers as `host:port,host:port`. Empty: the embedded broker of `newstide up`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """SASL mechanism, where the protocol is SASL."""
    sasl_username: str | None = None
    """SASL user."""
    sasl_password: SecretStr | None = None
    """SASL password."""
    ssl_cafile: Path | None = None
    """PEM file of the certificate authority; the system's where empty."""
    ssl_certfile: Path | None = None
    """PEM file of the client certificate, for mutual TLS."""
    ssl_keyfile: Path | None = None
    """PEM file of the client key, for mutual TLS; empty: the certificate's file holds it too."""
    ssl_password: SecretStr | None = None
    """Password of the client key, where it is encrypted."""
    topic_prefix: str = "newstide."
    """Put before every topic name."""
    partitions: int = Field(8, ge=1, le=1000)
    """Partitions of `messages` and `classified` when newstide creates them: the upper bound of workers."""
    replication: int = Field(-1, ge=-1)
    """Replicas of the topics newstide creates; -1 takes the broker's default."""
    retention_hours: int = Field(168, ge=1)
    """How long the brokers keep records of the topics that newstide creates."""
    start_timeout_s: float = Field(120, gt=0)
    """How long a process waits for the brokers at its start before it gives up."""


class DatabaseSettings(Section):
    url: str | None = Field(None, repr=False)
    """Postgres 15 or later, `postgresql://user:password@host:port/name`. Empty: the embedded database."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    """TLS to Postgres, in libpq's terms."""
    sslrootcert: Path | None = None
    """PEM file of the authority that signed the server's certificate; `system`: those that the system trusts."""
    sslcert: Path | None = None
    """PEM file of the client certificate."""
    sslkey: Path | None = None
    """PEM file of the client key."""
    retention_days: int = Field(400, ge=1)
    """Messages and stories stored longer ago than this are dropped; their trends are kept. See `retention.*`."""
    start_timeout_s: float = Field(120, gt=0)
    """How long a process waits for Postgres at its start before it gives up."""


class EmbeddedSettings(Section):
    directory: Path = Path(".newstide")
    """Where the embedded database, logs and state files live."""
    broker_port: int = Field(0, ge=0, le=65535)
    """Port of the embedded broker on loopback; 0 takes a free one."""
    database_port: int = Field(0, ge=0, le=65535)
    """Port of the embedded database on loopback; 0 takes a free one."""


class IngestSettings(Section):
    feeds: Path = Path("feeds.toml")
    """Feeds to poll and other sources to read, see [sources.md](sources.md)."""
    push_host: str = "127.0.0.1"
    """Address the HTTP push endpoint listens on."""
    push_port: int = Field(8770, ge=0, le=65535)
    """Port of the HTTP push endpoint."""
    push_token: SecretStr | None = None
    """Bearer token that `POST /v1/messages` asks for. The endpoint does not start without one."""
    push_confirms: Literal["kafka", "commit"] = "kafka"
    """A push is answered with 202, and the cursor of a source moves on, once Kafka has the messages, or once they are \
committed to Postgres: for brokers that can lose what they acknowledged. `newstide up` sets `commit` beside its \
embedded broker."""
    push_sources: list[str] = []
    """Sources that may be pushed; empty accepts any well-formed name."""
    push_max_bytes: int = Field(16_000_000, ge=1000)
    """Largest body of one push."""
    push_max_items: int = Field(10_000, ge=1)
    """Most messages in one push."""
    push_max_connections: int = Field(512, ge=1, le=100_000)
    """Most open connections of the push endpoint; one more is answered 503 and closed."""
    push_max_connections_per_peer: int = Field(64, ge=1, le=100_000)
    """Most of them from one address, of IPv6 from one /64 network; one more is answered 429 and closed. Behind a \
proxy all have the proxy's."""
    push_header_timeout_s: float = Field(10, gt=0)
    """How long a connection may take to send the request line and headers; then it is closed."""
    push_body_timeout_s: float = Field(30, gt=0)
    """How long a request may take to send its body; then it is answered 408 and closed."""
    feed_max_bytes: int = Field(10_000_000, ge=1000)
    """Largest feed document that is read."""
    linger_ms: int = Field(20, ge=0)
    """How long the producer waits to fill a batch."""


class StreamSettings(Section):
    workers: int = Field(1, ge=1, le=256)
    """Worker processes that `newstide worker` and `newstide up` run."""
    bundle: Path | None = None
    """Directory of a model bundle, or one that holds several, for a language each: the one called `default`, and \
others by name. Empty: those that ship in `models/`."""
    batch_size: int = Field(256, ge=1, le=10_000)
    """Most messages in one batch, and so in one transaction."""
    batch_within_s: float = Field(0.2, gt=0, le=0.2)
    """How long a batch may wait to fill."""
    threads: int = Field(1, ge=1, le=64)
    """ONNX Runtime threads of one worker. More processes beat more threads."""
    watchlist: Path | None = None
    """Companies with their tickers and names, see [companies.md](companies.md). Empty: the list that ships."""
    publish_classified: bool = True
    """Write each classified message to the `classified` topic after its commit."""
    story_window_hours: float = Field(72, gt=0)
    """A copy or near-duplicate joins a story whose first message is at most this long before it, in event time."""
    retry_max_s: float = Field(15, gt=0)
    """Longest pause between tries at a database that fails."""
    watchdog_s: float = Field(60, gt=5)
    """A worker that has lag and commits nothing for this long ends itself, to be restarted."""
    session_timeout_s: float = Field(6, gt=1)
    """Kafka group session timeout: how soon a dead worker's partitions go to the others."""


class ModelsSettings(Section):
    shelf: str | None = None
    """Where promoted bundles are kept, reached by all workers: a directory or fsspec URL (`s3://bucket/models`). \
Empty: `models` in `embedded.directory`."""
    cache: Path | None = None
    """Where a process keeps the bundles it fetched from the shelf. Empty: `cache` in `embedded.directory`."""
    trusted_keys: list[Path] = []
    """PEM files of Ed25519 public keys. Where any is named, a bundle is used only if one of them signed it."""
    signing_key: Path | None = None
    """PEM file of the Ed25519 private key by which `newstide train --schedule` and `newstide promote --name` sign."""
    poll_s: float = Field(5, ge=0.1, le=3600)
    """A worker looks at the registry this often, besides being notified."""
    shadow_share: float = Field(0.1, ge=0, le=1)
    """Share of the live messages that a shadow model labels too."""
    test_set: Path | None = None
    """Frozen test set that `newstide promote` judges on: lines `{"text", "<task>": "<label>"}`."""
    train_after_labels: int = Field(200, ge=1)
    """New labels after which `newstide train --schedule` trains, unless `--min-labels` says otherwise."""
    gate_p_value: float = Field(0.05, gt=0, lt=1)
    """McNemar p-value below which two models differ."""
    gate_equal_points: float = Field(1, gt=0, le=100)
    """A smaller model counts as equal if its accuracy is surely less than this many points lower, on every task."""
    gate_class_points: float = Field(3, gt=0, le=100)
    """Most points of F1 that a class may lose."""
    gate_class_support: int = Field(20, ge=1)
    """Classes with fewer texts in the test set are reported but not judged."""
    gate_speed_ratio: float = Field(0.8, ge=0)
    """Least messages/s of a new model over those of the live one, measured in the same run."""
    gate_least_per_second: float = Field(0, ge=0)
    """Least messages/s of a new model on one thread of the machine that judges it; 0 asks for the ratio alone."""
    gate_max_megabytes: float = Field(25, gt=0)
    """Largest bundle, in millions of bytes."""


class AlertingSettings(Section):
    clock: Literal["wall", "event"] = "wall"
    """`wall`: the clock less `allowed_lateness_s` moves the watermark, while all partitions are known to be read; \
`event`: only messages do."""
    allowed_lateness_s: float | None = Field(None, ge=0)
    """How long a minute waits for its messages before it is judged; later ones make it be judged again. Empty: the \
longest interval of the feeds in `ingest.feeds`, at most 10 minutes, and a minute more."""
    poll_s: float = Field(1, gt=0)
    """Pause between two looks at the watermark."""
    step_minutes: int = Field(5, ge=1, le=60)
    """A series is judged once per step of this many minutes of event time."""
    windows_minutes: list[int] = [5, 15, 60, 1440]
    """Look-back windows of the tail tests, each of up to a day."""
    history_days: int = Field(56, ge=2, le=400)
    """Days of history behind a baseline."""
    warmup_days: float = Field(3, ge=0, le=400)
    """How long a store learns before anything fires. Series that begin later may fire at once; not in a crowd."""
    min_excess: float = Field(3, ge=0)
    """Least excess of negative stories over the expected number in a window: one or two stories never page, however \
rare; from there on the budget decides."""
    max_series: int = Field(10_000, ge=10, le=1_000_000)
    """Most series that are followed at once, about 15 kB of memory each; those above are counted in a metric."""
    rules: Path | None = None
    """Rules and receivers, see [delivery.md](delivery.md). Empty: `alerts.toml` in the working directory, if there is \
one."""
    budget: str | None = None
    """False pages that are acceptable over all series, such as `1 per week`. Empty: what the rules say. To be given \
where a desk shall show the budget and not read the rules, which may hold secrets of receivers."""
    webhook_url: str | None = Field(None, repr=False)
    """Each change of an alert's state is posted here as JSON."""
    webhook_timeout_s: float = Field(10, gt=0)
    """How long a delivery may take."""
    delivery_max_age_hours: float = Field(72, gt=0)
    """A delivery that still fails so long after it was due is given up after eight tries, its own or in a row of a \
receiver that does not answer, and counted."""


class RetentionSettings(Section):
    """How long each kind of row is kept beside `database.retention_days`, and how gently rows are deleted."""

    key_days: int = Field(1200, ge=1)
    """How long a message is known again after it was stored. Keys are small and outlive their messages, so that an \
old file, or a feed that still lists an old item, is not counted twice. At least `database.retention_days` are kept."""
    trend_minute_days: int = Field(90, ge=0)
    """So many days after they were judged, trends are kept by the hour instead of the minute; 0 keeps all minutes."""
    dead_letter_days: int = Field(90, ge=1)
    """How long dead letters are kept."""
    delivery_days: int = Field(30, ge=1)
    """How long deliveries stay in the outbox after they were made or given up."""
    alert_days: int = Field(1200, ge=1)
    """How long alerts that are over are kept, with their history and evidence."""
    shadow_days: int = Field(90, ge=1)
    """How long the labels of shadow models are kept."""
    batch_rows: int = Field(5000, ge=1, le=1_000_000)
    """Rows deleted or merged in one transaction."""
    pause_s: float = Field(0.1, ge=0)
    """Pause between two such transactions."""
    lock_timeout_s: float = Field(2, gt=0)
    """How long a change of a table waits for its lock before it gives way to the workers and tries again."""


class MetricsSettings(Section):
    host: str = "127.0.0.1"
    """Address that `/metrics`, `/healthz` and `/readyz` of each process listen on."""
    ready_within_s: float = Field(60, gt=0)
    """`/readyz` fails where a process has work and completed none for this long."""
    worker_port: int = Field(9870, ge=0, le=65535)
    """Port of the first worker; worker i listens on this + i. 0 turns the endpoints of workers off."""
    ingest_port: int = Field(9860, ge=0, le=65535)
    """Port of the ingest process; 0 turns it off."""
    alerting_port: int = Field(9861, ge=0, le=65535)
    """Port of the alerting process; 0 turns it off."""
    desk_port: int = Field(9862, ge=0, le=65535)
    """Port of the desk's metrics and probes; 0 turns it off."""


class DeskSettings(Section):
    host: str = "127.0.0.1"
    """Address that the desk listens on."""
    port: int = Field(8700, ge=0, le=65535)
    """Port of the desk; 0 takes a free one."""
    public_url: str | None = None
    """Address at which people reach the desk, where a proxy stands before it: `https://desk.example.com`."""
    session_hours: int = Field(12, ge=1, le=720)
    """How long a login lasts."""
    requests_per_second: float = Field(20, gt=0)
    """Requests that one person or program may send on the long run; ten times as many at once."""
    local_accounts: bool = True
    """Whether people may log in with a name and a password of the desk's own."""
    proxy_header: str | None = None
    """Header in which a trusted proxy names the person, such as `X-Forwarded-User`. Needs `proxy_addresses`."""
    proxy_addresses: list[str] = []
    """Addresses or networks of trusted proxies. `proxy_header` is believed from nowhere else, nor is \
`X-Forwarded-For`, by which logins are limited for each client instead of for all behind the proxy together."""
    proxy_role: Literal["viewer", "analyst", "admin"] = "viewer"
    """Role of a person whom the proxy names and the desk does not know yet."""
    oidc_issuer: str | None = None
    """Address of an OpenID Connect provider; empty turns it off."""
    oidc_client_id: str | None = None
    """Client id of the desk at the provider."""
    oidc_client_secret: SecretStr | None = None
    """Client secret of the desk at the provider."""
    oidc_role_claim: str = "newstide_role"
    """Claim of the id token that holds the role."""
    oidc_default_role: Literal["viewer", "analyst", "admin", ""] = "viewer"
    """Role of a person without that claim; empty: such a person is turned away."""
    lease_minutes: int = Field(15, ge=1, le=1440)
    """How long a story that an analyst has on the screen is kept from the others."""
    evaluation_share: float = Field(0.05, ge=0, le=1)
    """Share of the stories that are labelled without seeing what the model said, so that they judge it honestly."""
    second_share: float = Field(0.1, ge=0, le=1)
    """Share of the labelled stories that a second analyst is asked about, blind."""
