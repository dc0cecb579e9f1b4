"""Plans a deployment without changing anything, and carries out the plan."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from loki_shipper.deployment.artifact import (
    Artifact,
    find_compiler,
    function_artifact,
    layer_artifact,
    write_artifact,
)
from loki_shipper.deployment.bucket import (
    ArtifactsBucket,
    artifacts_bucket,
    bucket_exists,
    is_uploaded,
    make_bucket,
    s3_uri,
    s3_url,
    upload,
)
from loki_shipper.deployment.parameters import effective, for_cloudformation
from loki_shipper.deployment.stack import (
    ChangeSet,
    Event,
    Sleep,
    Stack,
    delete,
    finish_rollback,
    prepare,
)
from loki_shipper.doctor.grants import holding_conditions
from loki_shipper.template import LAYERS, Template, read_template, with_code

_NAMES = {
    "AWS::Serverless::Function": "functions",
    "AWS::Serverless::LayerVersion": "layer",
    "AWS::S3::Bucket": "bucket",
    "AWS::IAM::Role": "roles",
    "AWS::Logs::LogGroup": "log groups",
    "AWS::SQS::Queue": "queues",
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::Dashboard": "dashboard",
}


class DeploymentClients(Struct, frozen=True):
    """The boto3 clients of a deployment."""

    cloudformation: Any
    s3: Any


class DeploymentPlan(Struct, frozen=True):
    """A deployment: its stack, its template and parameters, its zips, and their bucket."""

    stack: Stack
    template: Template
    chosen: Mapping[str, str]
    bucket: ArtifactsBucket
    makes_bucket: bool
    function: Artifact
    layers: Mapping[str, Artifact]
    has_bytecode: bool

    @property
    def values(self) -> dict[str, str]:
        """The new value of each parameter."""
        return effective(self.template["Parameters"], self._previous, self.chosen)

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """The changed parameters: name to old value and new value."""
        declared = self.template["Parameters"]
        before = effective(declared, self._previous, {})
        return {
            name: (before.get(name, ""), value)
            for name, value in self.values.items()
            if before.get(name, "") != value
        }

    @property
    def artifacts(self) -> tuple[Artifact, Artifact]:
        """The zips that the stack runs."""
        return self.function, self.layers[self.values["Architecture"]]

    @property
    def body(self) -> bytes:
        """The template with the URIs of the code, as JSON."""
        # The other architecture's layer is named but not uploaded: it must not get wrong wheels.
        layers = {each: s3_uri(self.bucket, layer.name) for each, layer in self.layers.items()}
        function = s3_uri(self.bucket, self.function.name)
        return json.dumps(with_code(self.template, function, layers), indent=1).encode()

    @property
    def is_first(self) -> bool:
        """Tell whether the deployment makes a new stack."""
        return self.stack.phase in {"absent", "broken"}

    @property
    def parts(self) -> Counter[str]:
        """The number of resources in a new stack, by a plain name of their type."""
        there = {None, *holding_conditions(self.template, self.values)}
        resources = self.template["Resources"]
        kinds = Counter(
            _NAMES[resource["Type"]]
            for name, resource in resources.items()
            if resource["Type"] in _NAMES
            and name not in {*LAYERS.values()} - {LAYERS[self.values["Architecture"]]}
            and resource.get("Condition") in there
        )
        return Counter({name: kinds[name] for name in _NAMES.values() if kinds[name]})

    @property
    def _previous(self) -> Mapping[str, str]:
        return {} if self.stack.phase == "absent" else self.stack.parameters


def make_plan(  # noqa: PLR0913 - choices and effects
    stack: Stack,
    chosen: Mapping[str, str],
    clients: DeploymentClients,
    *,
    account: str,
    region: str,
    bucket: str | None,
    environ: Mapping[str, str],
) -> DeploymentPlan:
    """Plan a deployment. Raises ArtifactsBucketError.

    A `broken` stack keeps its parameters, as a person would choose them again.
    """
    template = read_template()
    target = ArtifactsBucket(bucket or artifacts_bucket(account, region), account, region)
    exists = bucket_exists(clients.s3, target)
    compiler = find_compiler(environ)
    return DeploymentPlan(
        stack,
        template,
        chosen,
        target,
        makes_bucket=not exists,
        function=function_artifact(compiler, environ),
        layers={each: layer_artifact(each, compiler, environ) for each in LAYERS},
        has_bytecode=compiler is not None,
    )


def template_changes(plan: DeploymentPlan, cloudformation: Any) -> bool:
    """Tell whether the stack has another template or other code than this package."""
    original = {"StackName": plan.stack.name, "TemplateStage": "Original"}
    body = cloudformation.get_template(**original)["TemplateBody"]
    try:
        deployed = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        # A template in YAML does not come from this command.
        return True
    return bool(deployed != json.loads(plan.body))


def upload_code(plan: DeploymentPlan, s3: Any, cache: Path) -> Iterator[str]:
    """Make and upload the missing zips; yield a message before each step.

    Raises:
        ArtifactError: a zip cannot be made.
    """
    if plan.makes_bucket:
        yield f"making the bucket {plan.bucket.name}"
        make_bucket(s3, plan.bucket)
    for artifact in plan.artifacts:
        if not is_uploaded(s3, plan.bucket, artifact.name):
            yield f"making {artifact.name}"
            path = write_artifact(artifact, cache)
            yield f"uploading {artifact.name}"
            upload(s3, plan.bucket, artifact.name, path)


def clear_the_way(plan: DeploymentPlan, cloudformation: Any, sleep: Sleep) -> Iterator[Event]:
    """Delete a broken stack, or finish a rollback; yield its events. Raises StackError."""
    match plan.stack.phase:
        case "broken":
            yield from delete(cloudformation, plan.stack, sleep)
        case "stuck":
            yield from finish_rollback(cloudformation, plan.stack, sleep)
        case _:
            return


def prepare_change(
    plan: DeploymentPlan, clients: DeploymentClients, sleep: Sleep
) -> ChangeSet | None:
    """Upload the template and make a change set; None without changes. Raises StackError."""
    name = f"template-{plan.stack.name}.json"
    upload(clients.s3, plan.bucket, name, plan.body)
    declared = plan.template["Parameters"]
    # A deleted stack has no previous values.
    fresh = plan.is_first
    previous = {} if fresh else plan.stack.parameters
    chosen = plan.values if fresh else plan.chosen
    stack = Stack(plan.stack.name) if fresh else plan.stack
    return prepare(
        clients.cloudformation,
        stack,
        s3_url(clients.s3, plan.bucket, name),
        for_cloudformation(declared, previous, chosen),
        sleep,
    )
