"""Makes the template without the SAM transform, which StackSets do not support.

Its code is in one bucket for each Region: `CodeBucket` is the bucket's name without the Region,
`CodePrefix` is the folder in it.
"""

from collections.abc import Mapping
from typing import Any, Final

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from loki_shipper.template import LAYERS, Template, with_code

_PLACE: Final = "s3://code/"
_LABEL: Final = "The code"


def standalone(
    template: Template, function: str, layers: Mapping[str, str], prefix: str
) -> Template:
    """Make a template that needs no transform.

    `function` and `layers` name the zips, `prefix` is the default of `CodePrefix`. A layer's
    logical id has a digest of its zip's name: another zip makes a new version of the layer.
    """
    placed = with_code(
        {**template, "Parameters": template["Parameters"] | _parameters(prefix)},
        _PLACE + function,
        {architecture: _PLACE + layers[architecture] for architecture in LAYERS},
    )
    placed["Metadata"] = _with_form(template["Metadata"])
    # The result does not depend on the Region, as a test shows.
    session = boto3.Session(region_name="us-east-1")
    translated: Template = Translator({}, Parser(), boto_session=session).translate(placed, {})
    for resource in translated["Resources"].values():
        for name in ("Code", "Content"):
            if "S3Key" in resource.get("Properties", {}).get(name, {}):
                resource["Properties"][name] = _code(resource["Properties"][name]["S3Key"])
    return translated


def _code(zip_name: str) -> dict[str, Any]:
    return {
        "S3Bucket": {"Fn::Sub": "${CodeBucket}-${AWS::Region}"},
        "S3Key": {"Fn::Sub": f"${{CodePrefix}}{zip_name}"},
    }


def _parameters(prefix: str) -> dict[str, Any]:
    return {
        "CodeBucket": {
            "Type": "String",
            "Description": (
                "Where the code lies: the name of a bucket without the Region at its end. The code "
                "of a stack in eu-central-1 is in CodeBucket-eu-central-1, as Lambda asks for a "
                "bucket of its own Region."
            ),
            "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,46}$",
            "ConstraintDescription": "must be the name of a bucket without the Region.",
        },
        "CodePrefix": {
            "Type": "String",
            "Default": prefix,
            "Description": "The folder in that bucket, with a slash at its end, or empty.",
            "AllowedPattern": "^$|^\\S+/$",
            "ConstraintDescription": "must end with a slash, or be empty.",
        },
    }


def _with_form(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Add the parameters of the code to the console's form."""
    name = "AWS::CloudFormation::Interface"
    form = metadata[name]
    group = {"Label": {"default": _LABEL}, "Parameters": ["CodeBucket", "CodePrefix"]}
    labels = {
        "CodeBucket": {"default": "Bucket, without its Region"},
        "CodePrefix": {"default": "Folder"},
    }
    return {
        **metadata,
        name: {
            "ParameterGroups": [*form["ParameterGroups"], group],
            "ParameterLabels": form["ParameterLabels"] | labels,
        },
    }
