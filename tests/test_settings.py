import pytest

from loki_shipper.environment import SettingsError
from loki_shipper.formats import LogBucket, Secret
from loki_shipper.settings import Settings, settings, variables

URL = {"LOKI_URL": "http://loki:3100"}
PUSH = "/loki/api/v1/push"


def read(**environ: str) -> Settings:
    return settings(URL | environ)


def fault(**environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        read(**environ)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://loki:3100", "http://loki:3100" + PUSH),
        ("http://loki:3100/", "http://loki:3100" + PUSH),
        ("https://logs.example.com/tenant", "https://logs.example.com/tenant" + PUSH),
        ("https://logs.example.com" + PUSH, "https://logs.example.com" + PUSH),
        ("https://logs.example.com" + PUSH + "/", "https://logs.example.com" + PUSH),
        ("http://[::1]:3100", "http://[::1]:3100" + PUSH),
        ("  http://loki  ", "http://loki" + PUSH),
    ],
)
def test_the_url_may_be_the_base_or_the_push_url(text: str, url: str) -> None:
    assert settings({"LOKI_URL": text}).loki_url == url


@pytest.mark.parametrize(
    "text",
    [
        "loki:3100",
        "ftp://loki",
        "http://",
        "http://loki:port",
        "http://loki:99999",
        "http://user:password@loki",
        "http://loki?tenant=a",
        "http://loki#a",
        "http://[::1",
    ],
)
def test_a_url_that_cannot_be_pushed_to_is_a_fault(text: str) -> None:
    assert "LOKI_URL" in fault(LOKI_URL=text)


def test_a_password_in_the_url_is_not_repeated_in_the_fault() -> None:
    assert "hunter2" not in fault(LOKI_URL="http://user:hunter2@loki")


@pytest.mark.parametrize("environ", [{}, {"LOKI_URL": ""}, {"LOKI_URL": "  "}])
def test_absent_and_empty_are_the_same(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^LOKI_URL is not set$"):
        settings(environ)


def test_a_missing_variable_has_the_documented_default() -> None:
    read_ = read(LOG_LEVEL="", TAG_LABELS=" ")
    assert read_ == Settings(loki_url="http://loki:3100" + PUSH)
    assert (read_.max_labels, read_.max_line_bytes, read_.max_batch_bytes) == (15, 262144, 1048576)
    assert (read_.tag_labels, read_.long_lines, read_.structured_metadata) == (None, "split", True)
    assert read_.log_level == "INFO"


def test_one_message_names_every_fault() -> None:
    with pytest.raises(SettingsError) as raised:
        settings(
            {
                "MAX_LABELS": "many",
                "LOG_LEVEL": "loud",
                "LOKI_TENANT": "a/b",
                "LOKI_USERNAME": "u",
                "LOKI_CLIENT_CERT": "c",
            }
        )
    message = str(raised.value)
    for name in (
        "LOKI_URL is not set",
        "MAX_LABELS",
        "LOG_LEVEL",
        "LOKI_TENANT",
        "LOKI_USERNAME and LOKI_PASSWORD go together",
        "LOKI_CLIENT_CERT and LOKI_CLIENT_KEY go together",
    ):
        assert name in message


@pytest.mark.parametrize("tenant", ["a", "team-1_b.c!*'()", "x" * 150])
def test_a_tenant_that_loki_accepts_is_read(tenant: str) -> None:
    assert read(LOKI_TENANT=tenant).loki_tenant == tenant


@pytest.mark.parametrize("tenant", [".", "..", "a|b", "a b", "x" * 151, "größe", "a\nb"])
def test_a_tenant_that_loki_rejects_is_a_fault(tenant: str) -> None:
    assert "LOKI_TENANT" in fault(LOKI_TENANT=tenant)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("*", None),
        ("none", ()),
        ("NONE", ()),
        ("team", (("team", ""),)),
        (" team , env = environment ,", (("team", ""), ("env", "environment"))),
        ("aws:x=x", (("aws:x", "x"),)),
    ],
)
def test_tags_are_all_none_or_a_list_with_new_names(text: str, labels: object) -> None:
    assert read(TAG_LABELS=text).tag_labels == labels


@pytest.mark.parametrize(
    "text",
    ["=x", "a=1x", "a=__x", "a=late", "a=log_group", "a=account_id", "a=keep", "a,a", "a=b c"],
)
def test_a_list_of_tags_that_cannot_be_labels_is_a_fault(text: str) -> None:
    assert "TAG_LABELS" in fault(TAG_LABELS=text)


def test_static_labels_are_sorted_pairs() -> None:
    assert read(STATIC_LABELS="env=prod, cluster=eu=1").static_labels == (
        ("cluster", "eu=1"),
        ("env", "prod"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "env",
        "env=",
        "1env=a",
        "late=true",
        "log_group=x",
        "account_id=1",
        "On=x",
        "a=1,a=2",
        "a=" + "x" * 2049,
    ],
)
def test_static_labels_that_loki_would_refuse_are_a_fault(text: str) -> None:
    assert "STATIC_LABELS" in fault(STATIC_LABELS=text)


def test_static_labels_leave_room_for_the_late_label() -> None:
    labels = ",".join(f"a{n}=x" for n in range(5))
    assert "STATIC_LABELS" in fault(STATIC_LABELS=labels, MAX_LABELS="5")
    assert read(STATIC_LABELS=labels, MAX_LABELS="6").max_labels == 6


def test_an_account_has_its_tenants() -> None:
    text = "111111111111=team-a|team-b, 222222222222=team-c"
    assert read(ACCOUNT_TENANTS=text).account_tenants == (
        ("111111111111", ("team-a", "team-b")),
        ("222222222222", ("team-c",)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "team-a",
        "1111=team-a",
        "111111111111",
        "111111111111=",
        "111111111111=a||b",
        "111111111111=team a",
        "111111111111=a,111111111111=b",
    ],
)
def test_tenants_without_an_account_or_an_account_without_tenants_are_a_fault(text: str) -> None:
    assert "ACCOUNT_TENANTS" in fault(ACCOUNT_TENANTS=text)


def test_builtin_labels_can_be_renamed_and_left_out() -> None:
    assert read(BUILTIN_LABELS="region=aws_region,log_group").builtin_labels == (
        ("log_group", "log_group"),
        ("region", "aws_region"),
    )
    assert read(BUILTIN_LABELS="none").builtin_labels == ()
    assert len(read(BUILTIN_LABELS="all").builtin_labels) == 8


@pytest.mark.parametrize(
    "text", ["log_stream", "region,region", "region=a,source=a", "region=late", "region=log_group"]
)
def test_unknown_or_colliding_builtin_labels_are_a_fault(text: str) -> None:
    assert "BUILTIN_LABELS" in fault(BUILTIN_LABELS=text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "x", "٣", "101"])
def test_a_number_that_is_out_of_range_or_no_number_is_a_fault(text: str) -> None:
    assert "MAX_LABELS" in fault(MAX_LABELS=text)


def test_words_are_read_in_any_case() -> None:
    read_ = read(LONG_LINES="Truncate", STRUCTURED_METADATA="OFF", LOG_LEVEL="debug")
    assert (read_.long_lines, read_.structured_metadata, read_.log_level) == (
        "truncate",
        False,
        "DEBUG",
    )


@pytest.mark.parametrize("name", ["LONG_LINES", "STRUCTURED_METADATA", "LOG_LEVEL"])
def test_another_word_is_a_fault(name: str) -> None:
    assert name in fault(**{name: "perhaps"})


@pytest.mark.parametrize(
    "environ",
    [
        {"LOKI_SECRET": "s", "LOKI_TOKEN": "t"},
        {"LOKI_SECRET": "s", "LOKI_USERNAME": "u", "LOKI_PASSWORD": "p"},
        {"LOKI_TOKEN": "t", "LOKI_USERNAME": "u", "LOKI_PASSWORD": "p"},
    ],
)
def test_two_kinds_of_credentials_are_a_fault(environ: dict[str, str]) -> None:
    assert "only one of" in fault(**environ)


def test_no_fault_repeats_a_secret() -> None:
    message = fault(LOKI_PASSWORD="hunter2", LOKI_TOKEN="hunter2", LOKI_CLIENT_KEY="hunter2")
    assert "hunter2" not in message


def test_settings_never_show_a_secret() -> None:
    read_ = read(
        LOKI_USERNAME="u", LOKI_PASSWORD="hunter2", LOKI_CLIENT_CERT="c", LOKI_CLIENT_KEY="hunter2"
    )
    assert "hunter2" not in repr(read_)
    assert "hunter2" not in str(read_)
    assert read_.loki_password == Secret("hunter2")


def test_every_field_says_what_it_is_for() -> None:
    for name, setting in variables().items():
        assert setting.description.endswith("."), name
    assert next(iter(variables())) == "LOKI_URL"


@pytest.mark.parametrize("minutes", ["5", "15", "30", "120"])
def test_late_streams_can_have_another_length(minutes: str) -> None:
    assert read(LATE_STREAM_MINUTES=minutes).late_stream_minutes == int(minutes)


@pytest.mark.parametrize("minutes", ["0", "7", "45", "30m", "-30", "240"])
def test_minutes_that_do_not_divide_a_day_are_a_fault(minutes: str) -> None:
    assert "LATE_STREAM_MINUTES must be one of 5, 10" in fault(LATE_STREAM_MINUTES=minutes)


def test_the_faults_are_listed_one_by_one() -> None:
    with pytest.raises(SettingsError) as raised:
        read(LOKI_TENANT="a; b", MAX_LABELS="0")
    assert [each.split()[0] for each in raised.value.faults] == ["LOKI_TENANT", "MAX_LABELS"]
    assert str(raised.value) == "; ".join(raised.value.faults)


def test_log_buckets_are_buckets_with_prefixes_and_types() -> None:
    text = "my-logs/AWSLogs/=alb, my.other-logs,hive/day=1/,hive/account=1/=vpcflow,a-b=json,"
    assert read(LOG_BUCKETS=text).log_buckets == (
        LogBucket("my-logs", "AWSLogs/", "alb"),
        LogBucket("my.other-logs"),
        LogBucket("hive", "day=1/"),
        LogBucket("hive", "account=1/", "vpcflow"),
        LogBucket("a-b", "", "json"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My_Logs", "names 'My_Logs', which is no name of a bucket"),
        ("s3://my-logs", "names 's3:', which is no name of a bucket"),
        ("my-logs=", "gives my-logs the type '': must be one of alb, alb_connection,"),
        ("my-logs/a=ALB", "gives my-logs/a the type 'ALB'"),
        ("my-logs/a,my-logs/a=alb", "names my-logs/a more than once"),
    ],
)
def test_an_entry_of_log_buckets_that_cannot_be_read_is_a_fault(text: str, expected: str) -> None:
    assert f"LOG_BUCKETS {expected}" in fault(LOG_BUCKETS=text)
