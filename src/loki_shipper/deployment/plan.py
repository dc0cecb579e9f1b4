"""What a deployment is going to do, worked out without changing anything; and doing it."""

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
    execute,
    finish_rollback,
    prepare,
)
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
    """The boto3 clients that a deployment calls, or what stands for them in a test."""

    cloudformation: Any
    s3: Any


class DeploymentPlan(Struct, frozen=True):
    """A deployment that can be done: into which stack, with what, uploaded where."""

    stack: Stack
    template: Template
    chosen: Mapping[str, str]
    place: ArtifactsBucket
    makes_bucket: bool
    function: Artifact
    layers: Mapping[str, Artifact]
    has_bytecode: bool

    @property
    def values(self) -> dict[str, str]:
        """The value that each parameter is going to have."""
        return effective(self.template["Parameters"], self._previous, self.chosen)

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """The parameters that get another value than they have, with both."""
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
        """The template with the places of the code, as JSON."""
        # The layer that is not asked for is named too, and not there: never the other one's wheels.
        layers = {each: s3_uri(self.place, layer.name) for each, layer in self.layers.items()}
        function = s3_uri(self.place, self.function.name)
        return json.dumps(with_code(self.template, function, layers), indent=1).encode()

    @property
    def is_first(self) -> bool:
        """Tell whether there is no stack to be updated."""
        return self.stack.phase in {"absent", "broken"}

    @property
    def parts(self) -> Counter[str]:
        """What a new stack consists of, by what people call it, for those that cost or show."""
        alarms = bool(self.values.get("AlarmTopicArn"))
        resources = self.template["Resources"]
        kinds = Counter(
            _NAMES[resource["Type"]]
            for name, resource in resources.items()
            if resource["Type"] in _NAMES
            and name not in {*LAYERS.values()} - {LAYERS[self.values["Architecture"]]}
            and (alarms or resource["Type"] != "AWS::CloudWatch::Alarm")
        )
        return Counter({name: kinds[name] for name in _NAMES.values() if kinds[name]})

    @property
    def _previous(self) -> Mapping[str, str]:
        return {} if self.stack.phase == "absent" else self.stack.parameters


def make_plan(  # noqa: PLR0913 - each is a choice or an effect
    stack: Stack,
    chosen: Mapping[str, str],
    clients: DeploymentClients,
    *,
    account: str,
    region: str,
    bucket: str | None,
    environ: Mapping[str, str],
) -> DeploymentPlan:
    """Work out a deployment. Raises BucketError.

    What a `broken` stack was given is kept, as a person would give it again.
    """
    template = read_template()
    place = ArtifactsBucket(bucket or artifacts_bucket(account, region), account, region)
    there = bucket_exists(clients.s3, place)
    compiler = find_compiler(environ)
    return DeploymentPlan(
        stack,
        template,
        chosen,
        place,
        makes_bucket=not there,
        function=function_artifact(compiler, environ),
        layers={each: layer_artifact(each, compiler, environ) for each in LAYERS},
        has_bytecode=compiler is not None,
    )


def template_changes(plan: DeploymentPlan, cloudformation: Any) -> bool:
    """Tell whether the stack is made of another template or of other code than this package has."""
    original = {"StackName": plan.stack.name, "TemplateStage": "Original"}
    body = cloudformation.get_template(**original)["TemplateBody"]
    try:
        deployed = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        # Written as YAML: not by this command.
        return True
    return bool(deployed != json.loads(plan.body))


def upload_code(plan: DeploymentPlan, s3: Any, cache: Path) -> Iterator[str]:
    """Make and upload what is not there yet, saying each time what is done.

    Raises:
        ArtifactError: a zip cannot be made.
    """
    if plan.makes_bucket:
        yield f"making the bucket {plan.place.bucket}"
        make_bucket(s3, plan.place)
    for artifact in plan.artifacts:
        if not is_uploaded(s3, plan.place, artifact.name):
            yield f"making {artifact.name}"
            path = write_artifact(artifact, cache)
            yield f"uploading {artifact.name}"
            upload(s3, plan.place, artifact.name, path)


def clear_the_way(plan: DeploymentPlan, cloudformation: Any, sleep: Sleep) -> Iterator[Event]:
    """Delete what an earlier deployment left unfinished, or finish its rollback.

    Raises StackError.
    """
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
    """Upload the template and ask CloudFormation what it would change; None where nothing.

    Raises StackError.
    """
    name = f"template-{plan.stack.name}.json"
    upload(clients.s3, plan.place, name, plan.body)
    declared = plan.template["Parameters"]
    # A deleted stack has no previous values.
    fresh = plan.is_first
    previous = {} if fresh else plan.stack.parameters
    chosen = plan.values if fresh else plan.chosen
    stack = Stack(plan.stack.name) if fresh else plan.stack
    return prepare(
        clients.cloudformation,
        stack,
        s3_url(clients.s3, plan.place, name),
        for_cloudformation(declared, previous, chosen),
        sleep,
    )


def make_change(
    plan: DeploymentPlan, change_set: ChangeSet, cloudformation: Any, sleep: Sleep
) -> Iterator[Event]:
    """Change the stack, and give each event as it comes. Raises StackError."""
    yield from execute(cloudformation, plan.stack, change_set, sleep)
