"""`loki-shipper explain` shows the result for each tag, and what a setting would change."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from moto.logs.models import SubscriptionFilter as FilterOfMoto

from loki_shipper.local.aws import ACCOUNT, LocalAws

type Run = Callable[..., Result]

LAMBDA = str(Path(__file__).resolve().parents[2] / "events" / "lambda.json")


@pytest.fixture
def log_group(aws: LocalAws) -> str:
    name = f"/aws/lambda/explained-{uuid4().hex}"
    aws.create_log_group(name, {"team": "payments", "a.b": "1"})
    return name


@pytest.fixture
def shipper(aws: LocalAws) -> str:
    arn = aws.create_function(f"shipper-{uuid4().hex}", lambda _event: None)
    aws.client("lambda").update_function_configuration(
        FunctionName=arn, Environment={"Variables": {"LOKI_URL": "http://loki:3100"}}
    )
    return arn


def test_an_event_is_explained_without_aws(run: Run) -> None:
    result = run("explain", "--event", LAMBDA, "--tag", "team=payments", "--tag", "aws:x=y")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "/aws/lambda/fun-checkout"
    assert 'tag      team="payments"  label team' in lines
    assert (
        'tag      aws:x="y"  left out  aws: tags become labels only if TAG_LABELS lists them'
        in (lines)
    )
    assert 'builtin  service_name="fun-checkout"  label service_name' in lines


@pytest.mark.parametrize(
    ("tag", "environ", "decision"),
    [
        pytest.param("a.b=1", {}, "label a_b", id="mended"),
        pytest.param("region=eu", {}, "label region", id="stronger than a built-in label"),
        pytest.param("late=1", {}, "metadata tag_late  late is reserved", id="late"),
        pytest.param("empty=", {}, "left out  its value is empty", id="empty"),
        pytest.param(
            "env=prod", {"TAG_LABELS": "team"}, "left out  TAG_LABELS does not list it", id="list"
        ),
        pytest.param(
            "env=prod", {"STATIC_LABELS": "env=dev"}, "metadata tag_env  static env", id="static"
        ),
        pytest.param(
            "env=prod",
            {"STATIC_LABELS": "env=prod"},
            "left out  static env has the same value",
            id="same",
        ),
        pytest.param(
            "zone=a", {"MAX_LABELS": "6"}, "metadata zone  MAX_LABELS is reached", id="no room"
        ),
    ],
)
def test_each_tag_has_a_decision_and_a_reason(
    run: Run, tag: str, environ: dict[str, str], decision: str
) -> None:
    result = run("explain", "--event", LAMBDA, "--tag", tag, **environ)
    [line] = [line for line in result.stdout.splitlines() if line.startswith("tag ")]
    assert decision in line


def test_a_setting_shows_what_it_would_change(run: Run) -> None:
    result = run("explain", "--event", LAMBDA, "--tag", "team=a", "--diff", "TAG_LABELS=team=squad")
    assert result.stdout.splitlines() == [
        '+ squad="a"',
        '- team="a"',
        "new lines go to another stream",
    ]


def test_a_setting_that_changes_nothing_says_so(run: Run) -> None:
    result = run("explain", "--event", LAMBDA, "--diff", "LOG_LEVEL=DEBUG")
    assert result.stdout == "no label changes\n"


def test_a_tenant_by_tag_is_a_change(run: Run) -> None:
    result = run("explain", "--event", LAMBDA, "--tag", "t=shop", "--diff", "TENANT_TAG=t")
    assert '+ (tenant)="shop"' in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--diff", "MAX_LABELS=x"], "MAX_LABELS must be a whole number", id="value"),
        pytest.param(["--diff", "COLOUR=red"], "there is no setting COLOUR", id="name"),
        pytest.param(
            ["--diff", "TAG_LABEL=x"],
            "there is no setting TAG_LABEL. Did you mean TAG_LABELS",
            id="mistyped",
        ),
        pytest.param(
            ["--diff", "TAG_LABELS"],
            "'TAG_LABELS' is not a setting: write NAME=VALUE",
            id="no value",
        ),
        pytest.param(["--tag", "team"], "'team' is not a tag: write KEY=VALUE", id="no tag"),
        pytest.param(["/aws/lambda/x"], "name a log group, or give --event", id="both"),
    ],
)
def test_a_wrong_call_is_reported_in_one_sentence(run: Run, words: list[str], said: str) -> None:
    result = run("explain", "--event", LAMBDA, *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_log_group_is_explained_with_its_tags_in_aws(
    run: Run, aws: LocalAws, log_group: str, shipper: str
) -> None:
    result = run("explain", log_group, "--function", shipper, **aws.environ)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == [log_group, "not linked; `loki-shipper link` links it"]
    assert 'tag      team="payments"  label team' in lines
    assert f'builtin  account_id="{ACCOUNT}"  label account_id' in lines


def test_a_tag_option_counts_as_a_tag_of_the_log_group(
    run: Run, aws: LocalAws, log_group: str, shipper: str
) -> None:
    words = ["explain", log_group, "--function", shipper, "--tag", "team=search", "--tag", "x=1"]
    lines = run(*words, **aws.environ).stdout.splitlines()
    assert 'tag      team="search"  label team' in lines
    assert 'tag      x="1"  label x' in lines
    assert 'tag      a.b="1"  label a_b' in lines


def test_a_linked_log_group_shows_since_when_and_other_filters(
    run: Run, aws: LocalAws, log_group: str, shipper: str
) -> None:
    other = aws.create_function(f"other-{uuid4().hex}", lambda _event: None)
    aws.client("logs").put_subscription_filter(
        logGroupName=log_group, filterName="theirs", filterPattern="", destinationArn=other
    )
    aws.client("logs").put_subscription_filter(
        logGroupName=log_group, filterName="loki-shipper", filterPattern="", destinationArn=shipper
    )
    result = run("explain", log_group, "--function", shipper, "--json", **aws.environ)
    [shown] = json.loads(result.stdout)
    assert shown["linking"].startswith("linked since 2")
    assert shown["linking"].endswith(", beside theirs; as the selection wants it")
    assert shown["labels"]["a_b"] == "1"


def test_the_streams_of_a_day_are_predicted_with_the_rules_of_the_function(
    run: Run, aws: LocalAws, log_group: str, shipper: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nname = 'pods'\nlabel = {pod = 'pod'}\nat_most = 2\n")
    aws.client("lambda").update_function_configuration(
        FunctionName=shipper,
        Environment={"Variables": {"LOKI_URL": "http://loki:3100", "RULES": str(rules)}},
    )
    aws.put_lines(log_group, "s", [f'{{"pod": "{number}"}}' for number in range(4)])
    result = run("explain", log_group, "--function", shipper, **aws.environ)
    assert result.exit_code == 0, result.stderr
    [streams, rule] = result.stdout.splitlines()[-2:]
    assert streams.startswith("streams   3 from 4 lines of 1 minute; ")
    assert streams.endswith("; no more in a day")
    label, full = rule.split("; ")
    assert label == "rule      pods: label pod has 2 of at most 2 values"
    assert full == "full after 0 minutes, so other values become structured metadata"


def test_a_rule_that_samples_is_explained_with_what_it_drops(
    run: Run, aws: LocalAws, log_group: str, shipper: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nname = 'some'\nsample = 5000\n")
    aws.client("lambda").update_function_configuration(
        FunctionName=shipper,
        Environment={"Variables": {"LOKI_URL": "http://loki:3100", "RULES": str(rules)}},
    )
    lines = [f"RequestId: {number}" for number in range(20)]
    aws.put_lines(log_group, "s", [*lines, "RequestId: 7 Error: boom"])
    result = run("explain", log_group, "--function", shipper, **aws.environ)
    assert result.stdout.splitlines()[-2:] == [
        "rule      some: keeps one of 5,000 requests, and every error",
        "rule      some: drops 20 of 21 lines",
    ]
    result = run("explain", log_group, "--function", shipper, "--json", **aws.environ)
    streams = json.loads(result.stdout)[0]["streams"]
    assert (streams["dropped"], streams["sampled_by"], streams["one_of"]) == (
        {"some": 20},
        "some",
        5000,
    )


def test_a_log_group_without_lines_has_no_streams(
    run: Run, aws: LocalAws, log_group: str, shipper: str
) -> None:
    result = run("explain", log_group, "--function", shipper, **aws.environ)
    assert "streams   none, as there are no lines in " in result.stdout


def test_rules_that_cannot_be_read_leave_the_rest_explained(
    run: Run, aws: LocalAws, log_group: str, shipper: str
) -> None:
    aws.client("lambda").update_function_configuration(
        FunctionName=shipper,
        Environment={"Variables": {"LOKI_URL": "http://loki:3100", "RULES": "s3://none/rules"}},
    )
    result = run("explain", log_group, "--function", shipper, "--json", **aws.environ)
    assert result.exit_code == 0
    assert "the streams of a day are not predicted: your AWS credentials cannot" in result.stderr
    [shown] = json.loads(result.stdout)
    assert shown["streams"] is None


def test_a_centralized_log_group_says_that_lines_have_the_labels_of_their_source(
    run: Run, aws: LocalAws, log_group: str, shipper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moto forgets the option, so this adds it to what moto says."""
    described = FilterOfMoto.to_json
    fields = ["@aws.account"]
    monkeypatch.setattr(
        FilterOfMoto, "to_json", lambda self: described(self) | {"emitSystemFields": fields}
    )
    aws.client("logs").put_subscription_filter(
        logGroupName=log_group, filterName="loki-shipper", filterPattern="", destinationArn=shipper
    )
    result = run("explain", log_group, "--function", shipper, **aws.environ)
    linking = result.stdout.splitlines()[1]
    assert ", with @aws.account; as the selection wants it; " in linking
    assert linking.endswith("; a line that names its source has the labels of the source")


def test_a_log_group_outside_the_selection_says_why(run: Run, aws: LocalAws, shipper: str) -> None:
    name = f"/ecs/{uuid4().hex}"
    aws.create_log_group(name, {})
    result = run("explain", name, "--function", shipper, **aws.environ)
    assert "not linked; left alone: no include pattern matches its name" in result.stdout


def test_a_log_group_that_does_not_exist_is_named(run: Run, aws: LocalAws, shipper: str) -> None:
    result = run("explain", "/aws/lambda/nobody", "--function", shipper, **aws.environ)
    assert result.exit_code == 2
    assert "there is no log group /aws/lambda/nobody" in result.stderr
