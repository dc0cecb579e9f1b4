"""Each preset for an AWS service reads the time, the level and fields of the lines AWS documents.

`expected_of_aws_presets.txt` says what each sample event becomes without a rules file: an entry a
line, its time in UTC and its structured metadata.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from loki_shipper.local.sample import event_id
from loki_shipper.model import Entry, LogData, LogEvent, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from loki_shipper.shipper.sources.event import records

EVENTS = Path(__file__).resolve().parents[3] / "events"
EXPECTED = {
    name: [line.strip() for line in rest.splitlines()]
    for name, _, rest in (
        part.partition("\n")
        for part in (Path(__file__).parent / "expected_of_aws_presets.txt")
        .read_text("utf-8")
        .removeprefix("# ")
        .split("\n# ")
    )
}
NOW = 1_795_206_163_123
AT = "2026-11-20T20:22:43"
"""The second of NOW."""


def sample(name: str) -> LogData:
    [data] = records(json.loads((EVENTS / f"{name}.json").read_bytes()))
    return data


def entries(data: LogData, rules: Rules | None = None) -> list[Entry]:
    given = RuleState(rules or default_rules(), {})
    settings = Settings(loki_url="http://loki")
    made = transform(data, Stream(None, ()), (), rule_state=given, settings=settings)
    [(stream, found)] = made.streams
    assert stream == Stream(None, ())
    assert made.dropped == {}
    return [*found]


def entry(line: str, group: str, rules: Rules | None = None) -> Entry:
    event = LogEvent(event_id(NOW, NOW, 1, 0), NOW, line)
    [made] = entries(LogData("DATA_MESSAGE", "123456789012", group, "s", [event]), rules)
    assert made.line == line
    return made


def metadata(line: str, group: str, rules: Rules | None = None) -> dict[str, str]:
    return dict(entry(line, group, rules).metadata)


def shift(line: str, group: str) -> int:
    return entry(line, group).timestamp // 1_000_000 - NOW


def written(made: Entry) -> str:
    when = datetime.fromtimestamp(made.timestamp // 1_000_000 / 1000, UTC)
    pairs = [f"{name}={value}" for name, value in made.metadata]
    return " ".join((when.isoformat(timespec="milliseconds")[11:23], *pairs))


def rewritten(data: LogData, change: Callable[[str], str]) -> LogData:
    events = [structs.replace(event, message=change(event.message)) for event in data.log_events]
    return structs.replace(data, log_events=events)


def appended(line: str) -> str:
    """Append a field to a line, as AWS does with no notice."""
    if line.startswith("{"):
        return line.removesuffix("}") + ',"new_field":{"level":"x"}}'
    return f'{line} new "a field"'


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_event_gets_the_time_the_level_and_the_fields_that_are_expected(name: str) -> None:
    assert [written(made) for made in entries(sample(name))] == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_lines_stay_as_they_are(name: str) -> None:
    data = sample(name)
    messages = sorted(event.message for event in data.log_events)
    assert sorted(made.line for made in entries(data)) == messages


@pytest.mark.parametrize("name", EXPECTED)
def test_a_field_that_aws_appends_changes_nothing(name: str) -> None:
    data = rewritten(sample(name), appended)
    assert [written(made) for made in entries(data)] == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_broken_line_is_still_shipped(name: str, keep: float) -> None:
    data = rewritten(sample(name), lambda line: line[: max(1, int(len(line) * keep))])
    assert len(entries(data)) == len(data.log_events)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_redelivered_payload_gives_the_same_entries(name: str) -> None:
    assert entries(sample(name)) == entries(sample(name))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_general_preset_of_vended_logs_takes_any_line(name: str) -> None:
    data = sample(name)
    rules = parse_rules("[[rule]]\npreset = 'vendedlogs'\ngroups = ['*']")
    assert len(entries(data, rules)) == len(data.log_events)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("alb", {"client_ip": "2001:db8::7", "status": "404", "detected_level": "warn"}),
        ("nlb", {"client_ip": "2001:db8::7", "detected_level": "warn"}),
        ("cloudfront", {"client_ip": "2001:db8::7", "status": "404", "detected_level": "warn"}),
        ("route53-public", {"client_ip": "2001:db8::1234", "rcode": "NXDOMAIN"}),
        ("s3access", {"client_ip": "2001:db8::7", "status": "403", "detected_level": "warn"}),
        ("vpcflow", {"detected_level": "info", "action": "ACCEPT"}),
    ],
)
def test_the_general_preset_of_vended_logs_reads_each_format(
    name: str, fields: dict[str, str]
) -> None:
    rules = parse_rules("[[rule]]\npreset = 'vendedlogs'\ngroups = ['*']")
    found = [dict(made.metadata) for made in entries(sample(name), rules)]
    assert any(fields.items() <= each.items() for each in found)


ALB = (
    "{kind} {time}Z app/lb/50dc6c495c0c9188 {client} 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "
    '"{request}" "curl/7.46.0" - - - "-" "-" "-" 0 {time}Z "forward" "-" "-"'
)
ALB_GROUP = "/aws/elasticloadbalancing/lb"


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("192.168.131.39:2817", "192.168.131.39"),
        ("[2001:db8::7]:2817", "2001:db8::7"),
        ("2001:db8::7:2817", "2001:db8::7"),
        ("-", None),
    ],
)
def test_a_client_of_a_load_balancer_has_any_kind_of_address(
    client: str, found: str | None
) -> None:
    line = ALB.format(kind="https", time=AT, client=client, request="GET http://x:80/ HTTP/1.1")
    assert metadata(line, ALB_GROUP).get("client_ip") == found
    assert metadata(line, ALB_GROUP)["status"] == "200"


@pytest.mark.parametrize("kind", ["http", "https", "h2", "grpcs", "ws", "wss"])
def test_every_kind_of_connection_of_a_load_balancer_is_read(kind: str) -> None:
    line = ALB.format(kind=kind, time=AT, client="1.2.3.4:5", request="- http://x:80- -")
    assert metadata(line, ALB_GROUP)["client_ip"] == "1.2.3.4"
    assert "method" not in metadata(line, ALB_GROUP)


@pytest.mark.parametrize(
    ("time", "moved"),
    [
        # The log event's own time is AT and 123 ms.
        (f"{AT}.123456", 0),
        ("2026-11-20T20:22:42.001", -1122),
        (AT, 0),
        ("2026-11-20T20:22:42", -124),
        ("2026-11-20T20:22:44", 877),
        # Loki would not take these, so the log event's own time stays.
        ("2026-11-19T20:22:42", 0),
        ("2026-11-20T20:33:00", 0),
    ],
)
def test_a_time_of_whole_seconds_is_the_moment_of_its_second_nearest_to_the_log_events(
    time: str, moved: int
) -> None:
    line = ALB.format(kind="h2", time=time, client="1.2.3.4:5", request="GET http://x:80/ HTTP/2")
    assert shift(line, ALB_GROUP) == moved


@pytest.mark.parametrize(
    ("value", "moved"), [(1_795_206_162, -124), ('"1795206162"', -124), (1_795_206_162_000, -1123)]
)
def test_a_number_of_seconds_is_a_time_of_whole_seconds_too(value: str | int, moved: int) -> None:
    assert shift(f'{{"timestamp":{value}}}', "aws-waf-logs-x") == moved


def test_lines_of_one_second_keep_the_order_of_their_log_events() -> None:
    calls = [(NOW, "a", 0), (NOW, "b", 1), (NOW + 400, "c", 2), (NOW + 3000, "d", 3)]
    events = [
        LogEvent(
            event_id(when, NOW + 4000, 1, index), when, f'{{"eventTime":"{AT}Z","x":"{text}"}}'
        )
        for when, text, index in calls
    ]
    data = LogData("DATA_MESSAGE", "123456789012", "CloudTrail/x", "s", events)
    assert [json.loads(made.line)["x"] for made in entries(data)] == ["a", "b", "c", "d"]
    assert {made.timestamp // 1_000_000_000 for made in entries(data)} == {NOW // 1000}


@pytest.mark.parametrize(
    "written_format",
    [
        "${vpc-id} ${instance-id} ${flow-direction} ${dstaddr} ${srcaddr} ${dstport} ${action}",
        "vpc-id instance-id flow-direction dstaddr srcaddr dstport action log-status start",
    ],
)
def test_a_custom_format_of_flow_logs_gives_fields_by_their_position(written_format: str) -> None:
    rules = parse_rules(f"[[rule]]\npreset = 'vpcflow'\nformat = '{written_format}'")
    line = "vpc-1 - ingress 172.31.16.21 2001:db8::7 - REJECT OK 1418530010 1418530070"
    found = metadata(line, "/aws/vpc/custom", rules)
    assert found.pop("log_status", "OK") == "OK"
    assert found == {
        "action": "REJECT",
        "destination_ip": "172.31.16.21",
        "detected_level": "warn",
        "source_ip": "2001:db8::7",
    }


def test_a_custom_format_without_known_fields_gives_nothing() -> None:
    rules = parse_rules("[[rule]]\npreset = 'vpcflow'\nformat = '${vpc-id}'")
    assert metadata("vpc-1", "/aws/vpc/custom", rules) == {}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        # PostgreSQL's other prefixes, and a socket.
        (
            f"{AT[:10]} {AT[11:]}.390 UTC:[local]:u@d:[7]:1:57P01:sess:2:0:x:app:WARNING:  x",
            {"user": "u", "database": "d", "detected_level": "warn"},
        ),
        # A host by its name, with log_hostname = 1.
        (
            f"{AT[:10]} {AT[11:]} UTC:ip-10-0-0-1.ec2.internal(5432):u@d:[7]:ERROR:  x",
            {"user": "u", "database": "d", "detected_level": "error"},
        ),
        # A process of the server itself.
        (f"{AT[:10]} {AT[11:]} UTC::@:[7]:LOG:  checkpoint", {"detected_level": "info"}),
        # The error log of MariaDB and of MySQL 5.7.
        (f"{AT[:10]} {AT[11:]} 0 [Note] InnoDB: ready", {"detected_level": "info"}),
        (f"{AT}.123456Z 5 [Warning] x", {"detected_level": "warn"}),
        # A slow query without a time, which is left out if it is that of the query before.
        (
            "# User@Host: u[u] @ h [2001:db8::7]\n# Query_time: 1.5  Rows_examined: 2\nselect 1;",
            {
                "client_ip": "2001:db8::7",
                "detected_level": "warn",
                "query_time": "1.5",
                "rows_examined": "2",
                "user": "u",
            },
        ),
        # MariaDB's slow query log has one line more.
        (
            (
                "# User@Host: u[u] @  [10.0.0.2]\n# Thread_id: 12  Schema: d\n"
                "# Query_time: 3.5  Lock_time: 0.0  Rows_sent: 1  Rows_examined: 7\nselect 1;"
            ),
            {
                "client_ip": "10.0.0.2",
                "detected_level": "warn",
                "query_time": "3.5",
                "rows_examined": "7",
                "user": "u",
            },
        ),
    ],
)
def test_other_lines_of_databases_are_read_too(line: str, fields: dict[str, str]) -> None:
    assert metadata(line, "/aws/rds/cluster/c/log") == fields


def test_a_failed_login_is_an_error_though_it_has_no_error_code() -> None:
    line = (
        '{"eventVersion":"1.08","eventName":"ConsoleLogin","errorMessage":"Failed authentication"}'
    )
    found = {"event_name": "ConsoleLogin", "detected_level": "error"}
    assert metadata(line, "CloudTrail/x") == found


def test_a_long_line_of_no_known_format_is_left_quickly() -> None:
    """Patterns are linear: a quadratic one would need minutes for a million characters."""
    for name in EXPECTED:
        group = sample(name).log_group
        for text in ("a " * 100_000, "2 " * 100_000, ":" * 200_000, "\t" * 200_000):
            assert len(entry(text, group).metadata) <= 1
