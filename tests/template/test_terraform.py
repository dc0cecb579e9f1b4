"""The Terraform module passes every parameter to the stack and deploys this version's files."""

import re
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.environment import parameter_names
from loki_shipper.settings import Settings
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.template import LAYERS
from tools.release import NAME, function_zip, layer_zip
from tools.terraform import terraform, variable_name

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "terraform"
TEXT = {path.name: path.read_text("utf-8") for path in MODULE.glob("*.tf")}
SETTINGS = parameter_names(Settings) | parameter_names(SubscriberSettings)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_variable(name: str) -> None:
    variable = variable_name(SETTINGS[name])
    assert f'variable "{variable}" {{' in TEXT["parameters.tf"]
    assert re.search(
        rf"^    {SETTINGS[name]} += var\.{variable}$", TEXT["parameters.tf"], re.MULTILINE
    )


def test_every_variable_is_declared_once_and_used() -> None:
    everything = "\n".join(TEXT.values())
    declared = re.findall(r'^variable "(\w+)"', everything, re.MULTILINE)
    assert len(declared) == len({*declared})
    assert {*declared} == {*re.findall(r"var\.(\w+)", everything)}


def test_it_deploys_the_files_of_this_version() -> None:
    (version,) = re.findall(r'version = "([\d.]+)"$', TEXT["release.tf"], re.MULTILINE)
    (parts,) = re.findall(r"for part in \[(.*?)\]", TEXT["release.tf"])
    assert f"loki-shipper-{version}" == NAME
    assert [f"{NAME}-{part.strip('" ')}.zip" for part in parts.split(",")] == [
        function_zip(),
        *map(layer_zip, LAYERS),
    ]


def test_new_uploads_come_before_the_stack_changes_and_old_ones_go_afterwards() -> None:
    resources = re.findall(
        r'^resource "(\w+)" "\w+" \{\n(.*?)^\}', TEXT["main.tf"], re.MULTILINE | re.DOTALL
    )
    uploads = [body for kind, body in resources if kind == "aws_s3_object"]
    (stack,) = [body for kind, body in resources if kind == "aws_cloudformation_stack"]
    assert len(uploads) == 2
    for body in uploads:
        assert "create_before_destroy = true" in body
        # Other contents have another key, which is another object.
        assert re.search(r"key += (\"\$\{local\.folder\}/|local\.template_key)", body)
    assert "aws_s3_object.zip" in stack
    assert "aws_s3_object.template.key" in stack


def test_its_outputs_are_the_stacks(template: dict[str, Any]) -> None:
    named = re.findall(r'outputs\["(\w+)"\]', TEXT["outputs.tf"])
    assert named
    assert {*named} <= template["Outputs"].keys()


def test_terraform_interpolates_nothing_in_a_description() -> None:
    parameter = {"Type": "String", "Default": "", "Description": 'such as ${x}, %{y} or "z"'}
    assert r'"such as $${x}, %%{y} or \"z\""' in terraform({"LokiUrl": parameter})


def test_a_list_is_a_list() -> None:
    subnets = {"Type": "CommaDelimitedList", "Default": "a,b", "Description": "Subnets."}
    text = terraform(
        {"SubnetIds": subnets, "MaxLabels": {**subnets, "Type": "Number", "Default": 5}}
    )
    assert 'SubnetIds = join(",", var.subnet_ids)' in text
    assert re.search(r'type += list\(string\)\n  default += \["a", "b"\]', text)
    assert re.search(r"type += number\n  default += 5\n", text)
