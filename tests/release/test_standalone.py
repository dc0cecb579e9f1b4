"""The template without the SAM transform is the same stack, for any Region and any account."""

import json
from typing import Any

import pytest

from loki_shipper.template import LAYERS, read_template
from tools.release import PREFIX, function_zip, layer_zip
from tools.standalone import standalone

FUNCTIONS = ("ShipperFunction", "RedriverFunction", "SubscriberFunction")
GIVEN_TO_A_LAYER = 10
"""Characters that SAM adds to a layer's logical id."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    layers = {architecture: layer_zip(architecture) for architecture in LAYERS}
    return standalone(read_template(), function_zip(), layers, PREFIX)


def test_it_has_no_transform_and_no_resource_of_sam(template: dict[str, Any]) -> None:
    assert "Transform" not in template
    assert "AWS::Serverless::" not in json.dumps(template)


def test_it_names_no_region_partition_or_account(template: dict[str, Any]) -> None:
    text = json.dumps(template["Resources"])
    for place in ("us-east-1", "arn:aws:", "arn:aws-"):
        assert place not in text


def test_the_code_is_in_a_bucket_of_the_stacks_own_region(template: dict[str, Any]) -> None:
    bucket = {"Fn::Sub": "${CodeBucket}-${AWS::Region}"}
    for name in FUNCTIONS:
        code = template["Resources"][name]["Properties"]["Code"]
        assert code == {
            "S3Bucket": bucket,
            "S3Key": {"Fn::Sub": f"${{CodePrefix}}{function_zip()}"},
        }
    layers = [
        resource["Properties"]["Content"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::LayerVersion"
    ]
    assert layers == [
        {"S3Bucket": bucket, "S3Key": {"Fn::Sub": f"${{CodePrefix}}{layer_zip(architecture)}"}}
        for architecture in LAYERS
    ]


def test_a_function_has_the_layer_of_its_processor(template: dict[str, Any]) -> None:
    ids = {name[:-GIVEN_TO_A_LAYER]: name for name in template["Resources"] if "Layer" in name}
    chosen = {"Fn::If": ["IsArm64", *({"Ref": ids[name]} for name in LAYERS.values())]}
    for name in FUNCTIONS:
        assert template["Resources"][name]["Properties"]["Layers"] == [chosen]


def test_resources_have_the_names_that_sam_gives_them(template: dict[str, Any]) -> None:
    """So a stack can change from one way of deploying to another without replacing resources."""
    sams = read_template()["Resources"].keys() - {*LAYERS.values()}
    assert sams <= template["Resources"].keys()


def test_the_form_of_the_console_has_every_parameter_in_its_place(template: dict[str, Any]) -> None:
    form = template["Metadata"]["AWS::CloudFormation::Interface"]
    placed = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(placed) == sorted(template["Parameters"])
    assert form["ParameterLabels"].keys() == template["Parameters"].keys()
    required = {name for name, each in template["Parameters"].items() if "Default" not in each}
    assert required == {"CodeBucket"}


def test_it_is_small_enough_for_cloudformation(template: dict[str, Any]) -> None:
    assert len(json.dumps(template)) < 400_000
