"""The tags of a bucket are read from S3's XML."""

import pytest

from loki_shipper.aws.tags import tags_of_xml


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", {}),
        ("<Tag><Key>a</Key></Tag>", {"a": ""}),
        ("<Tag><Key>a</Key><Value>b</Value></Tag>", {"a": "b"}),
        (
            "<Tag>\n <Key>a</Key>\n <Value/></Tag><Tag><Key>c</Key><Value></Value></Tag>",
            {"a": "", "c": ""},
        ),
        ("<Tag><Key>a&amp;b</Key><Value>&lt;&quot;&apos;&gt;</Value></Tag>", {"a&b": "<\"'>"}),
        ("<Tag><Key>a</Key><Value>&#xe9;&#233;&amp;lt;</Value></Tag>", {"a": "éé&lt;"}),
        ("<Tag><Key>a</Key><Value>&#x110000;&nbsp;</Value></Tag>", {"a": "&#x110000;&nbsp;"}),
    ],
)
def test_tags_of_an_answer_of_s3(tags: str, expected: dict[str, str]) -> None:
    xml = f'<?xml version="1.0"?><Tagging><TagSet>{tags}</TagSet></Tagging>'
    assert tags_of_xml(xml) == expected
