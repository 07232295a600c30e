"""`alerts.toml`: what it means, and what is said about every fault in it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerting.detection.detector import ALL, Series
from alerting.rules.alert_rules import AlertRules, Route
from alerting.rules.alerts_file import load_rules, read_rules
from alerting.rules.policy import Policy
from alerting.rules.schedule import Schedule
from alerting.rules.secret import Secret
from core.budget import stated_budget
from core.errors import InputError
from core.settings import PROJECT, AlertingSettings, Settings
from core.taxonomy import load_taxonomy

TOPICS = load_taxonomy().tasks["topic"]
RECEIVERS = """
[[receiver]]
name = "desk"
type = "webhook"
url = "http://127.0.0.1:1/"
[[receiver]]
name = "pager"
type = "apprise"
url = "json://127.0.0.1:1/"
min_severity = "critical"
"""


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> AlertRules:
        file = tmp_path / "alerts.toml"
        file.write_text(text, encoding="utf-8")
        return read_rules(file, TOPICS)

    return read


def test_the_example_is_valid_and_every_receiver_in_it_is_used() -> None:
    rules = read_rules(PROJECT / "alerts.example.toml", TOPICS)
    assert [rule.name for rule in rules.rules] == ["Our holdings", "Companies", "Markets"]
    assert rules.warnings == ()
    assert rules.policy.signals(Series("entity", "BRK.B")) == {"negative": 3.0, "share": 0.75}
    assert rules.policy.signals(Series("topic", "Dividend")) == {}
    assert rules.rules[1].schedule == Schedule(((time(22), time(7)),), (), ZoneInfo("Europe/Berlin"))


def test_without_a_file_or_a_rule_everything_is_judged(read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_rules(Settings()) == AlertRules()
    assert load_rules(Settings()).policy == Policy.default()
    (tmp_path / "alerts.toml").write_text('budget = "2 per day"', encoding="utf-8")
    assert load_rules(Settings()).policy == Policy(14.0)
    given = Settings(alerting=AlertingSettings(budget="1 per day"))
    assert load_rules(given).policy == Policy(7.0)
    (warning,) = load_rules(given).warnings
    assert warning.startswith(
        "`budget` is '2 per day' in alerts.toml, and is passed over: alerting.budget of the settings"
    )
    assert load_rules(Settings(alerting=AlertingSettings(budget="14 per week"))).warnings == (), "it is the same"
    assert stated_budget(Settings()) == 14
    assert stated_budget(given) == 7
    (tmp_path / "alerts.toml").write_text("", encoding="utf-8")
    assert load_rules(given) == AlertRules(Policy(7.0))
    with pytest.raises(InputError, match=r"`alerting.budget` is 'few'; expected a positive rate"):
        load_rules(Settings(alerting=AlertingSettings(budget="few")))
    with pytest.raises(InputError, match=r"other\.toml can.t be read: .*; write one"):
        load_rules(Settings(alerting=AlertingSettings(rules=tmp_path / "other.toml")))


def test_the_first_rule_that_matches_decides_unless_it_goes_on(read) -> None:
    rules = read(
        """
        [[rule]]
        name = "holdings"
        series = "entity=A*"
        severity = "critical"
        receivers = ["desk", "pager"]
        continue = true
        [[rule]]
        name = "cheer"
        series = "entity=*"
        signals = "positive"
        severity = "info"
        receivers = "desk"
        [[rule]]
        name = "rest"
        series = ["*"]
        signals = ["negative", "positive"]
        receivers = ["desk", "pager"]
        """
        + RECEIVERS
    )
    names = {
        each: [rule.name for rule in rules.matching(*each)] for each in [("entity=A", "negative"), ("all", "share")]
    }
    assert names == {("entity=A", "negative"): ["holdings", "rest"], ("all", "share"): []}
    assert [rule.name for rule in rules.matching("entity=B", "positive")] == ["cheer"]
    assert rules.routes([("entity=B", "positive")]) == {"desk": Route("info", ("cheer",))}
    # the pager takes what is critical only
    assert rules.routes([("all", "negative")]) == {"desk": Route("warning", ("rest",))}
    both = rules.routes([("all", "negative"), ("entity=A", "negative")])
    assert both == {"desk": Route("critical", ("rest", "holdings")), "pager": Route("critical", ("rest", "holdings"))}
    assert rules.policy.signals(ALL) == {"negative": 1, "positive": 1}


def test_an_outage_is_told_to_every_receiver_unless_a_rule_says_otherwise(read) -> None:
    silence = [("outage=ingest", "volume")]
    sms = "[[receiver]]\nname = 'sms'\ntype = 'webhook'\nurl = 'http://127.0.0.1:2/'\n" + RECEIVERS
    for rule in ("[[rule]]\nname = 'a'\nreceivers = 'desk'\nquiet_hours = '00:00-23:00'\nsignals = 'volume'\n", ""):
        rules = read(rule + sms)
        routes = rules.routes(silence)
        assert set(routes) == {"sms", "desk", "pager"}, "though the pager takes what is critical only"
        assert rules.severity(silence) == "warning"
        assert rules.hold(routes["desk"].rules, "warning", datetime(2026, 7, 1, 12, tzinfo=UTC)) is None
    named = "[[rule]]\nname = 'down'\nseries = 'outage=ingest'\nseverity = 'critical'\nreceivers = 'pager'\n"
    rules = read(named + sms)
    assert rules.routes(silence) == {"pager": Route("critical", ("down",))}
    assert rules.policy == Policy.default(), "everything is judged, as without a rule"
    going_on = read(named + "continue = true\n[[rule]]\nname = 'rest'\nreceivers = 'desk'\n" + sms)
    assert going_on.routes(silence) == {"pager": Route("critical", ("down",))}, "it decides instead all the same"
    mild = read("[[rule]]\nname = 'down'\nseries = 'outage=ingest'\nreceivers = ['desk', 'pager']\n" + sms)
    assert set(mild.routes(silence)) == {"desk"}, "a rule of the file goes by the receivers' least severity"
    muted = read("[[rule]]\nname = 'a'\nseries = ['all', 'outage=*']\n" + sms)
    assert muted.routes(silence) == {}
    assert muted.policy.fingerprint == read("[[rule]]\nname = 'a'\nseries = 'all'\n").policy.fingerprint


def test_a_message_waits_only_if_every_rule_that_asks_for_it_lets_it(read) -> None:
    rules = read(
        """
        [[rule]]
        name = "night"
        quiet_hours = "22:00-07:00"
        [[rule]]
        name = "digest"
        digest = ["06:00"]
        [[rule]]
        name = "now"
        """
    )
    late = datetime(2026, 7, 1, 23, tzinfo=UTC)
    assert rules.hold(["night", "digest"], "warning", late) == ("digest", late.replace(day=2, hour=6))
    for asking, severity in ((["night", "now"], "warning"), (["night"], "critical"), ([], "info"), (["gone"], "info")):
        assert rules.hold(asking, severity, late) is None


def test_tiers_that_no_rule_reaches_leave_their_share_to_the_others(read) -> None:
    policy = read('[[rule]]\nname = "a"\nseries = ["all", "entity=A*"]').policy
    assert policy.tiers == pytest.approx({"all": 1 / 3, "topic": 0, "entity": 2 / 3})


def test_an_unused_receiver_is_a_warning(read) -> None:
    assert read(RECEIVERS).warnings[0] == "receiver `desk` is named by no rule; it is told of outages alone"
    muted = RECEIVERS + "[[rule]]\nname = 'a'\nseries = ['*', 'outage=*']"
    assert read(muted).warnings[0] == "receiver `desk` is named by no rule; nothing is sent to it"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('bugdet = "1 per week"', "unknown key `bugdet`; did you mean `budget`"),
        ('budget = "0 per week"', "`budget` is '0 per week'; expected a positive rate"),
        ("budget = 1", "`budget` is 1; expected a positive rate"),
        ("[tiers]\nall = -1", r"\[tiers\]: `all` is -1"),
        ("[tiers]\nsource = 1", r"\[tiers\]: unknown key `source`"),
        ('link = "http://x/$incidnet"', "`link`: there is no field `.incidnet`; did you mean `incident`"),
        ('link = "desk.test/$incident"', "`link` is 'desk.test/.incident'; expected http"),
        ("[[receiver]]\nname = 'a'\ntype = 'alertmanager'\nurl = 'http://x'\nbody = 'x'", "templates of its own"),
        ("[rule]\nname = 'a'", r"write \[\[rule\]\] with two brackets"),
        ("[[rule]]", "rule 1: `name` is None"),
        ("[[rule]]\nname = 'a'\n[[rule]]\nname = 'a'", "two tables .* have the name `a`"),
        ("[[rule]]\nname = 'a'\ncontinu = true", "rule 1 .`a`.: unknown key `continu`; did you mean `continue`"),
        ("[[rule]]\nname = 'a'\nreceivers = ['desc']" + RECEIVERS, "there is no receiver `desc`; did you mean `desk`"),
        ("[[rule]]\nname = 'a'\nreceivers = 'x'", "there is no receiver `x`; there is no .* in the file"),
        ("[[rule]]\nname = 'a'\nseries = 'source=Reuters'", "there is no kind of series `source`"),
        ("[[rule]]\nname = 'a'\nseries = 'entiy=A'", "did you mean `entity`"),
        ("[[rule]]\nname = 'a'\nseries = 'outage=feed'", "the only series of its kind is `outage=ingest`"),
        ("[[rule]]\nname = 'a'\nseries = 'AAPL'", "expected `all`, `topic=NAME`, `entity=NAME`"),
        ("[[rule]]\nname = 'a'\nseries = 'entity=[AB'", "a `.` of the glob is not closed"),
        ("[[rule]]\nname = 'a'\nseries = 'topic=Earning'", "matches no topic of the taxonomy; did you mean `Earnings`"),
        ("[[rule]]\nname = 'a'\nseries = []", "`series` is empty"),
        ("[[rule]]\nname = 'a'\nsignals = ['negativ']", "names 'negativ'; .*did you mean `negative`"),
        ("[[rule]]\nname = 'a'\nsignals = []", "`signals` is empty"),
        ("[[rule]]\nname = 'a'\nseverity = 'high'", "`severity` is 'high'; expected `info`"),
        ("[[rule]]\nname = 'a'\nweight = 0", "`weight` is 0; expected a number above 0"),
        ("[[rule]]\nname = 'a'\nweight = nan", "`weight` is nan"),
        ("[[rule]]\nname = 'a'\nquiet_hours = '22-7'", "`quiet_hours` is '22-7'"),
        ("[[rule]]\nname = 'a'\nquiet_hours = ['00:00-12:00', '12:00-24:00']", "cover the whole day"),
        ("[[rule]]\nname = 'a'\ndigest = '25:00'", "`digest` is '25:00'"),
        ("[[rule]]\nname = 'a'\ndigest = '8:00'\ntime_zone = 'Mars'", "`time_zone` is 'Mars'"),
        ("[[rule]]\nname = 'a'\ntime_zone = 'UTC'", "`time_zone` is of no use"),
        ("[[receiver]]\nname = 'a'\ntype = 'slack'\nurl = 'x'", "`type` is 'slack'; expected `alertmanager`"),
        ("[[receiver]]\nname = 'kafka'\ntype = 'apprise'\nurl = 'x'", "the name is taken"),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'", "give either `url`"),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'env:A B'", "names no environment variable"),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'x'\nbody = '$sentenc'", "did you mean `sentence`"),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'x'\ntitle = '5 $'", "write `..` for the character"),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'x'\nresend_s = 5", "it belongs to `alertmanager`"),
        ("[[receiver]]\nname = 'a'\ntype = 'webhook'\nurl = 'http://x'\nheaders = 'x'", "`headers` is no table"),
        (
            "[[receiver]]\nname = 'a'\ntype = 'webhook'\nurl = 'http://x'\nheaders = {'A b' = 'c'}",
            "`headers` is no table",
        ),
        ("[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'x'\nheaders = {A = 'c'}", "of no use to `apprise`"),
        ("[[rule]]\nname = a", "is not valid TOML: .*line 2"),
    ],
)
def test_each_fault_is_named_with_its_place_and_a_way_out(read, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as raised:
        read(text)
    assert "alerts.toml" in str(raised.value)


def test_all_faults_are_named_at_once(read) -> None:
    with pytest.raises(InputError) as raised:
        read("budget = 0\n[[rule]]\nname = 'a'\nweight = 0\n[[rule]]\nseverity = 'high'")
    assert len(str(raised.value).splitlines()) == 4


def test_an_address_that_is_none_is_refused_without_being_shown(read) -> None:
    with pytest.raises(InputError, match="`url` is no web address") as raised:
        read("[[receiver]]\nname = 'a'\ntype = 'webhook'\nurl = 'hooks.example/s3cret'")
    assert "s3cret" not in str(raised.value)


def test_secrets_come_from_the_environment_or_a_file(read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = read(
        "[[receiver]]\nname = 'a'\ntype = 'apprise'\nurl = 'env:DESK_URL'\n"
        "[[receiver]]\nname = 'b'\ntype = 'apprise'\nurl_file = 'desk'\n"
        "[[receiver]]\nname = 'c'\ntype = 'apprise'\nurl = 'json://s3cret'"
    )
    variable, file, text = (receiver.url for receiver in rules.receivers)
    for secret, where in ((variable, "DESK_URL is not set"), (file, "desk can't be read")):
        with pytest.raises(InputError, match=where):
            secret.reveal()
    monkeypatch.setenv("DESK_URL", "json://s3cret")
    (tmp_path / "desk").write_text("json://s3cret\n", encoding="utf-8")
    assert [secret.reveal() for secret in (variable, file, text)] == ["json://s3cret"] * 3
    assert "s3cret" not in repr(rules)
    with pytest.raises(InputError, match="is empty"):
        Secret("env:DESK_URL", " ").reveal()
