"""ARNs are parsed and written."""

import pytest

from loki_shipper.aws.arn import (
    Arn,
    Origin,
    function_arn,
    function_name,
    function_origin,
    log_group_arn,
    log_group_name,
    parse_arn,
)

HERE = Origin("aws-cn", "cn-north-1", "123456789012")
FUNCTION = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f"
LOG_GROUP = "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/a/b#1"


@pytest.mark.parametrize(
    ("text", "arn"),
    [
        (FUNCTION, Arn(HERE, "lambda", ("function", "f"))),
        (f"{FUNCTION}:live", Arn(HERE, "lambda", ("function", "f", "live"))),
        ("arn:aws:s3:::bucket/*", Arn(Origin("aws", "", ""), "s3", ("bucket/*",))),
    ],
)
def test_an_arn_is_read_and_written(text: str, arn: Arn) -> None:
    assert parse_arn(text) == arn
    assert str(arn) == text


@pytest.mark.parametrize("text", ["", "*", "f", "arn:aws:lambda:r:1", "a:b:c:d:e:f"])
def test_other_text_is_no_arn(text: str) -> None:
    assert parse_arn(text) is None
    assert (function_name(text), function_origin(text), log_group_name(text)) == (None, None, None)


@pytest.mark.parametrize("end", ["", ":live", ":$LATEST"])
def test_a_function_has_a_name_and_a_place(end: str) -> None:
    assert function_arn(HERE, "f") == FUNCTION
    assert (function_name(FUNCTION + end), function_origin(FUNCTION + end)) == ("f", HERE)
    assert log_group_name(FUNCTION + end) is None


@pytest.mark.parametrize("end", ["", ":*"])
def test_a_log_group_has_a_name(end: str) -> None:
    assert log_group_arn(HERE, "/a/b#1") == LOG_GROUP
    assert log_group_name(LOG_GROUP + end) == "/a/b#1"
    assert (function_name(LOG_GROUP), function_origin(LOG_GROUP)) == (None, None)
