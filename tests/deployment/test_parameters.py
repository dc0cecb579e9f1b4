"""What CloudFormation would refuse is said before it is asked; what is set stays as it is."""

import pytest

from loki_shipper.deployment.parameters import effective, faults, for_cloudformation, missing
from loki_shipper.template import read_template

DECLARED = read_template()["Parameters"]
LOKI = {"LokiUrl": "https://loki.example"}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"LokiURL": "https://x"}, "there is no parameter LokiURL: did you mean LokiUrl?"),
        ({"Weather": "fine"}, "there is no parameter Weather"),
        ({"LokiUrl": "loki.example"}, "LokiUrl must start with http:// or https://"),
        ({"Architecture": "arm"}, "Architecture must be one of arm64, x86_64"),
        ({"MemorySize": "64"}, "MemorySize must be a number from 256 to 10240"),
        ({"MemorySize": "much"}, "MemorySize must be a number from 256 to 10240"),
        ({"LokiSecret": "a b"}, "LokiSecret must be the ARN or name of a secret"),
        ({"FilterPattern": "x" * 1025}, "FilterPattern may have 1024 characters at most"),
    ],
)
def test_a_wrong_choice_is_named(chosen: dict[str, str], said: str) -> None:
    [fault] = faults(DECLARED, chosen)
    assert fault.startswith(said)


def test_every_wrong_choice_is_named_at_once() -> None:
    assert len(faults(DECLARED, {"LokiUrl": "x", "Timeout": "1", "LogLevel": "DEBUG"})) == 2


def test_only_lokis_url_is_missing_at_first() -> None:
    assert missing(DECLARED, {}, {}) == ["LokiUrl"]
    assert missing(DECLARED, LOKI, {}) == []
    assert missing(DECLARED, {}, LOKI) == []
    assert missing(DECLARED, {}, {"DestinationArn": "arn:aws:logs:r:1:destination:hub"}) == []


def test_an_option_wins_over_the_stacks_value_and_that_over_the_default() -> None:
    values = effective(DECLARED, {**LOKI, "MemorySize": "512", "Timeout": "60"}, {"Timeout": "90"})
    assert (values["Timeout"], values["MemorySize"], values["LogLevel"]) == ("90", "512", "INFO")
    assert values.keys() == DECLARED.keys()


def test_an_upgrade_keeps_parameters_and_drops_removed_ones() -> None:
    previous = {**LOKI, "LokiSecret": "/loki", "OneRedriver": "off"}
    assert for_cloudformation(DECLARED, previous, {"LokiTenant": "a"}) == [
        {"ParameterKey": "LokiUrl", "UsePreviousValue": True},
        {"ParameterKey": "LokiSecret", "UsePreviousValue": True},
        {"ParameterKey": "LokiTenant", "ParameterValue": "a"},
    ]
