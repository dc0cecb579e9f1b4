import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import LogData, LogEvent, LogFile, LogSource
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.labels.decide import (
    LabelledStream,
    clean,
    label_name,
    label_stream,
    tag_source,
    takes_tenant,
)
from loki_shipper.shipper.labels.service import service_of_group

LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
METADATA = re.compile(r"[a-zA-Z][a-zA-Z0-9]*(_[a-zA-Z0-9]+)*_?")
NO_BUILTINS = {"BUILTIN_LABELS": "none"}


def read(**environ: str) -> Settings:
    return settings({"LOKI_URL": "http://loki", **environ})


def data(log_group: str = "/aws/lambda/fun", **fields: Any) -> LogData:
    event = LogEvent("", 0, "", fields or None)
    return LogData("DATA_MESSAGE", "123456789012", log_group, "stream", [event])


def labelled(tags: dict[str, str], **environ: str) -> LabelledStream:
    return label_stream(data(), tags, region="eu-central-1", settings=read(**environ))


def labels(tags: dict[str, str], **environ: str) -> dict[str, str]:
    return dict(labelled(tags, **environ).stream.labels)


def metadata(tags: dict[str, str], **environ: str) -> dict[str, str]:
    return dict(labelled(tags, **environ).metadata)


def test_a_log_group_without_tags_has_the_builtin_labels() -> None:
    assert labels({}) == {
        "service_name": "fun",
        "log_group": "/aws/lambda/fun",
        "account_id": "123456789012",
        "region": "eu-central-1",
        "source": "cloudwatch",
    }


def test_the_log_stream_is_structured_metadata_never_a_label() -> None:
    assert metadata({}) == {"log_stream": "stream"}


@pytest.mark.parametrize(
    ("tags", "service"),
    [
        ({"name": "d"}, "d"),
        ({"name": "d", "app": "c"}, "c"),
        ({"name": "d", "app": "c", "service": "b"}, "b"),
        ({"name": "d", "app": "c", "service": "b", "service_name": "a"}, "a"),
        ({"service": "", "name": "d"}, "d"),
    ],
)
def test_the_service_is_named_by_the_first_tag_that_does(
    tags: dict[str, str], service: str
) -> None:
    assert labels(tags)["service_name"] == service


@pytest.mark.parametrize(
    ("group", "service"),
    [
        ("/aws/rds/instance/orders-db/error", "orders-db"),
        ("/aws/rds/cluster/orders/postgresql", "orders"),
        ("/aws/eks/prod/cluster", "prod"),
        ("/aws/vendedlogs/s3/a-bucket/S3_SERVER_ACCESS_LOGS", "a-bucket"),
        ("/aws/vendedlogs/elasticloadbalancing/lb/ALB_ACCESS_LOGS", "lb"),
        ("API-Gateway-Execution-Logs_a1b2c3/prod", "a1b2c3"),
        ("/aws/vendedlogs/states/checkout", "checkout"),
        ("aws-waf-logs-shop", "aws-waf-logs-shop"),
        ("/aws/eks/prod/cluster/more", "more"),
        ("/shop/", "shop"),
        ("/", ""),
    ],
)
def test_a_log_groups_name_names_its_service(group: str, service: str) -> None:
    assert service_of_group(group) == service


@pytest.mark.parametrize(
    ("log_group", "service"),
    [("/aws/lambda/fun", "fun"), ("skypilot-logs", "skypilot-logs"), ("/a/b/", "b"), ("///", None)],
)
def test_else_by_the_tail_of_the_log_group(log_group: str, service: str | None) -> None:
    given_ = label_stream(data(log_group), {}, region="r", settings=read())
    assert dict(given_.stream.labels).get("service_name") == service


def test_centralized_logs_say_their_own_account_and_region() -> None:
    said = data(**{"@aws.account": "210987654321", "@aws.region": "us-east-1"})
    given_ = dict(label_stream(said, {}, region="r", settings=read()).stream.labels)
    assert (given_["account_id"], given_["region"]) == ("210987654321", "us-east-1")


def test_fields_of_another_kind_never_cost_a_record() -> None:
    fields: dict[str, Any] = {"@aws.account": 5, "@aws.region": ["a"], "x": None}
    said = data(**fields)
    given_ = dict(label_stream(said, {}, region="r", settings=read()).stream.labels)
    assert (given_["account_id"], given_["region"]) == ("5", "['a']")


def test_all_tags_but_those_of_aws_become_labels() -> None:
    tags = {"team": "payments", "aws:cloudformation:stack-name": "s", "env": "prod"}
    assert labels(tags, **NO_BUILTINS) == {"team": "payments", "env": "prod"}


def test_a_list_of_tags_chooses_and_renames() -> None:
    tags = {"team": "payments", "aws:x": "1", "env": "prod", "cost": "9"}
    assert labels(tags, TAG_LABELS="team,env=environment,aws:x,absent", **NO_BUILTINS) == {
        "team": "payments",
        "environment": "prod",
        "aws_x": "1",
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("team", "team"),
        ("aws:x", "aws_x"),
        ("a.b", "a_b"),
        ("a--b", "a_b"),
        ("größe", "gr_e"),
        ("1st", "_1st"),
        ("__name__", "_name_"),
        ("keep", "_keep"),
        ("Group.Left", "_Group_Left"),
        ("a__b", "a_b"),
        ("日本", "tag_c7b7cdcc"),
        ("_", "tag_29d6a3e8"),
        ("...", "tag_1a43b61b"),
    ],
)
def test_a_tag_key_becomes_a_label_name(key: str, name: str) -> None:
    assert label_name(key) == name
    assert LABEL.fullmatch(name)


def test_keys_without_a_letter_stay_two_labels() -> None:
    assert len({label_name(key) for key in ("日本", "大阪", "_", "...", "")}) == 5


def test_of_two_keys_with_one_name_the_one_that_is_a_name_wins() -> None:
    tags = {"a.b": "dot", "a_b": "plain", "a-b": "dash"}
    assert labels(tags, **NO_BUILTINS) == {"a_b": "plain"}
    assert metadata(tags, **NO_BUILTINS) == {
        "log_stream": "stream",
        "tag_a_b": "dash",
        "tag_a_b_2": "dot",
    }


def test_losers_that_say_the_same_are_not_repeated() -> None:
    assert metadata({"a.b": "x", "a_b": "x"}, **NO_BUILTINS) == {"log_stream": "stream"}


def test_names_in_metadata_never_have_two_underscores() -> None:
    tags = {"a.": "1", "a-": "2", "a:": "3"}
    assert labels(tags, **NO_BUILTINS) == {"a_": "2"}
    assert metadata(tags, **NO_BUILTINS) == {
        "log_stream": "stream",
        "tag_a_": "1",
        "tag_a_2": "3",
    }


def test_a_static_label_wins_over_a_tag_and_a_tag_over_a_builtin_one() -> None:
    tags = {"env": "tag", "region": "mars"}
    assert labels(tags, STATIC_LABELS="env=static")["env"] == "static"
    assert labels(tags)["region"] == "mars"
    assert metadata(tags, STATIC_LABELS="env=static") == {
        "builtin_region": "eu-central-1",
        "log_stream": "stream",
        "tag_env": "tag",
    }


def test_one_place_is_kept_for_the_late_label_and_the_overflow_is_metadata() -> None:
    tags = {f"t{n:02}": str(n) for n in range(20)}
    given_ = labelled(tags, STATIC_LABELS="env=prod")
    assert len(given_.stream.labels) == 14
    names = [name for name, _ in given_.stream.labels]
    assert {"env", "log_group", "account_id", "region", "source", "service_name"} < {*names}
    assert [name for name in names if name[0] == "t"] == [f"t{n:02}" for n in range(8)]
    assert [name for name, _ in given_.metadata if name[0] == "t"] == [
        f"t{n:02}" for n in range(8, 20)
    ]


def test_a_tag_cannot_be_the_late_label() -> None:
    assert labels({"late": "yes"}, **NO_BUILTINS) == {}
    assert metadata({"late": "yes"}, **NO_BUILTINS) == {"log_stream": "stream", "tag_late": "yes"}
    assert labels({"late": "yes"}, TAG_LABELS="late", **NO_BUILTINS) == {}


@pytest.mark.parametrize("name", ["part", "log_stream", "detected_level", "level", "request_id"])
def test_a_tag_does_not_take_our_names_in_metadata(name: str) -> None:
    tags = {"a": "1", name: "tag"}
    given_ = metadata(tags, MAX_LABELS="2", **NO_BUILTINS)
    assert given_["log_stream"] == "stream"
    assert given_[f"{name}_2"] == "tag"


def test_words_of_logql_are_no_names_in_metadata_either() -> None:
    assert metadata({"a": "1", "keep": "2"}, MAX_LABELS="2", **NO_BUILTINS) == {
        "log_stream": "stream",
        "tag_keep": "2",
    }


def test_empty_values_are_left_out() -> None:
    assert labels({"team": ""}, **NO_BUILTINS) == {}
    assert metadata({"team": ""}, **NO_BUILTINS) == {"log_stream": "stream"}


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("plain", "plain"),
        ('quote " and \\ and \n', 'quote " and \\ and \n'),
        ("a\ufffdb", "a?b"),
        (f"a{chr(0xD800)}b", "a?b"),
        ("x" * 3000, "x" * 2048),
        ("ß" * 2000, "ß" * 1024),
        ("aß" * 1000, "aß" * 682 + "a"),
        ("", ""),
    ],
)
def test_a_value_is_cleaned_of_what_loki_refuses(value: str, cleaned: str) -> None:
    assert clean(value) == cleaned


@pytest.mark.parametrize(
    ("tags", "tenant"),
    [
        ({"owner": "team-a"}, "team-a"),
        ({}, "all"),
        ({"owner": ""}, "all"),
    ],
)
def test_a_tag_may_name_the_tenant(tags: dict[str, str], tenant: str) -> None:
    got = labelled(tags, TENANT_TAG="owner", LOKI_TENANT="all")
    assert (got.stream.tenant, got.missing_tenant) == (tenant, None)
    assert (labelled(tags).stream.tenant, labelled(tags).missing_tenant) == (None, None)


@pytest.mark.parametrize("value", ["a b", "a|b", "..", "x" * 151, "größe"])
def test_a_tag_that_names_no_possible_tenant_gives_the_lines_to_nobody(value: str) -> None:
    got = labelled({"owner": value}, TENANT_TAG="owner", LOKI_TENANT="all")
    assert (got.stream.tenant, got.missing_tenant) == (None, "tenant_invalid")


def test_without_the_tag_and_without_a_tenant_for_all_the_lines_are_nobodys() -> None:
    got = labelled({}, TENANT_TAG="owner")
    assert (got.stream.tenant, got.missing_tenant) == (None, "no_tenant")


def test_tags_that_are_not_known_name_no_tenant_and_the_one_for_all_is_not_meant() -> None:
    configured = read(TENANT_TAG="owner", LOKI_TENANT="all")
    got = label_stream(data(), {}, region="r", settings=configured, tags_known=False)
    assert (got.stream.tenant, got.missing_tenant) == (None, "tenant_unknown")


def test_without_a_tag_for_tenants_unknown_tags_are_no_obstacle() -> None:
    got = label_stream(data(), {}, region="r", settings=read(LOKI_TENANT="all"), tags_known=False)
    assert (got.stream.tenant, got.missing_tenant) == ("all", None)


@pytest.mark.parametrize("fact", ["log_group", "account_id"])
@pytest.mark.parametrize("builtins", ["all", "none"])
@pytest.mark.parametrize("wanted", ["*", "{fact}"])
def test_a_tag_with_the_name_of_a_fact_does_not_displace_it(
    fact: str, builtins: str, wanted: str
) -> None:
    environ = {"BUILTIN_LABELS": builtins, "TAG_LABELS": wanted.format(fact=fact)}
    got = labelled({fact: "forged"}, **environ)
    labels = dict(got.stream.labels)
    assert labels[f"tag_{fact}"] == "forged"
    assert labels.get(fact) == (
        dict(labelled({}).stream.labels)[fact] if builtins == "all" else None
    )


def test_a_fact_under_another_name_keeps_that_name_too() -> None:
    got = labelled({"group": "forged"}, BUILTIN_LABELS="log_group=group")
    assert dict(got.stream.labels)["group"] == data().log_group
    assert dict(got.metadata)["tag_group"] == "forged"


def test_a_tag_may_still_replace_region_and_source() -> None:
    got = dict(labelled({"region": "eu", "source": "app"}).stream.labels)
    assert (got["region"], got["source"]) == ("eu", "app")


KEYS = st.one_of(
    st.text(max_size=20),
    st.text("aA1_.:/ -@+=ß", max_size=8),
    st.sampled_from(
        ["late", "part", "detected_level", "__name__", "aws:x", "log_stream", "service", "_"]
    ),
)
TAGS = st.dictionaries(KEYS, st.text(max_size=20), max_size=30)
CHOSEN = st.sampled_from(
    [{}, NO_BUILTINS, {"MAX_LABELS": "2"}, {"STATIC_LABELS": "a=b", "TAG_LABELS": "late,a,_"}]
)


@given(TAGS, CHOSEN)
def test_any_tags_give_labels_and_metadata_that_loki_takes(
    tags: dict[str, str], environ: dict[str, str]
) -> None:
    given_ = labelled(tags, **environ)
    names = [name for name, _ in given_.stream.labels]
    assert all(LABEL.fullmatch(name) for name in names)
    assert names == sorted({*names})
    assert "late" not in names
    assert len(names) <= int(environ.get("MAX_LABELS", 15)) - 1
    others = [name for name, _ in given_.metadata]
    assert all(METADATA.fullmatch(name) for name in others)
    assert others == sorted({*others})
    assert "part" not in others
    for _, value in (*given_.stream.labels, *given_.metadata):
        assert value
        assert "\ufffd" not in value
        assert len(value.encode()) <= 2048


@given(TAGS, st.randoms(use_true_random=False))
def test_the_same_tags_in_another_order_are_the_same_stream(
    tags: dict[str, str], random: Any
) -> None:
    items = [*tags.items()]
    random.shuffle(items)
    assert labelled(dict(items)) == labelled(tags)


@given(TAGS)
def test_no_value_is_lost_on_the_way(tags: dict[str, str]) -> None:
    given_ = labelled(tags, **NO_BUILTINS)
    kept = {value for _, value in (*given_.stream.labels, *given_.metadata)}
    for key, value in tags.items():
        if not key.startswith("aws:"):
            assert clean(value) in kept | {""}


KEY = "AWSLogs/111111111111/elasticloadbalancing/us-east-1/2026/11/20/x.log.gz"
ALB = LogFile(
    "my-logs", KEY, "alb", "111111111111", "us-east-1", "shop", "loadbalancer/app/shop/50dc6c"
)
TEXT = LogFile("my-logs", "web/server.log", "text")
CLOUDFRONT = LogFile(
    "my-logs", "E1.2026-11-20-20.a.gz", "cloudfront", "111111111111", tagged_as="distribution/E1"
)


def log_file_data(file: LogFile) -> LogData:
    event = LogEvent("", 0, '192.0.2.7 "GET /secret" 404')
    group = f"s3://{file.bucket}/{file.type}"
    return LogData("DATA_MESSAGE", "123456789012", group, file.key, [event], log_file=file)


def labelled_file(file: LogFile, tags: dict[str, str], **environ: str) -> LabelledStream:
    return label_stream(log_file_data(file), tags, region="eu-central-1", settings=read(**environ))


def test_a_log_file_has_the_account_the_region_and_the_resource_of_its_key() -> None:
    made = labelled_file(ALB, {})
    assert dict(made.stream.labels) == {
        "account_id": "111111111111",
        "bucket": "my-logs",
        "log_type": "alb",
        "region": "us-east-1",
        "resource": "shop",
        "service_name": "shop",
        "source": "s3",
    }
    assert dict(made.metadata) == {"log_stream": KEY}


def test_a_log_file_whose_key_names_nothing_has_the_account_and_the_region_of_the_function() -> (
    None
):
    assert dict(labelled_file(TEXT, {}).stream.labels) == {
        "account_id": "123456789012",
        "bucket": "my-logs",
        "log_type": "text",
        "region": "eu-central-1",
        "service_name": "text",
        "source": "s3",
    }


def test_tags_of_a_log_file_become_labels() -> None:
    made = dict(labelled_file(ALB, {"team": "payments", "app": "checkout"}).stream.labels)
    assert (made["team"], made["app"], made["service_name"]) == ("payments", "checkout", "checkout")


def test_a_tag_never_changes_the_account_of_a_log_file() -> None:
    made = dict(labelled_file(ALB, {"account_id": "x", "log_group": "y"}).stream.labels)
    assert (made["account_id"], made["tag_account_id"]) == ("111111111111", "x")
    assert made["tag_log_group"] == "y"


def test_builtin_labels_of_a_log_file_are_chosen_and_renamed_as_others() -> None:
    made = labelled_file(ALB, {}, BUILTIN_LABELS="log_type=kind,resource,log_group")
    assert dict(made.stream.labels) == {"kind": "alb", "resource": "shop"}


@pytest.mark.parametrize(
    ("file", "setting", "expected"),
    [
        (ALB, "bucket", LogSource("123456789012", "eu-central-1", "s3://my-logs")),
        (
            ALB,
            "resource",
            LogSource("111111111111", "us-east-1", "loadbalancer/app/shop/50dc6c", resource=True),
        ),
        (TEXT, "resource", LogSource("123456789012", "eu-central-1", "s3://my-logs")),
        # The tagging API gives the tags of distributions in us-east-1 only.
        (CLOUDFRONT, "resource", LogSource("123456789012", "eu-central-1", "s3://my-logs")),
    ],
)
def test_the_tags_of_a_log_file_are_those_of_its_bucket_or_by_option_of_its_load_balancer(
    file: LogFile, setting: str, expected: LogSource
) -> None:
    given_ = read(LOG_FILE_TAGS=setting)
    assert tag_source(log_file_data(file), region="eu-central-1", settings=given_) == expected


def test_a_stack_in_us_east_1_knows_the_tags_of_distributions() -> None:
    data, given_ = log_file_data(CLOUDFRONT), read(LOG_FILE_TAGS="resource")
    source = LogSource("111111111111", "us-east-1", "distribution/E1", resource=True)
    assert tag_source(data, region="us-east-1", settings=given_) == source
    us, other = "123456789012", "111111111111"
    allowed = read(LOG_FILE_TAGS="resource", ACCOUNT_TENANTS=f"{other}=a")
    assert [
        takes_tenant(us, data, "a", each, region=region)
        for each in (given_, allowed)
        for region in ("us-east-1", "eu-central-1")
    ] == [False, True, True, True]


@pytest.mark.parametrize(
    ("setting", "tenants", "takes"),
    [
        # Our own bucket's tags may name any tenant.
        ("bucket", "", True),
        # The tags of another account's load balancer name only a tenant that we let it have.
        ("resource", "", False),
        ("resource", "111111111111=a", True),
        ("resource", "111111111111=b", False),
    ],
)
def test_tags_of_another_account_name_only_tenants_of_that_account(
    setting: str, tenants: str, takes: bool
) -> None:
    given_ = read(LOG_FILE_TAGS=setting, ACCOUNT_TENANTS=tenants, TENANT_TAG="tenant")
    found = takes_tenant("123456789012", log_file_data(ALB), "a", given_, region="eu-central-1")
    assert found is takes
