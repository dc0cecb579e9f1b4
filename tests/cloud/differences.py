"""Corrects differences of LocalStack 4.9.2 from AWS, one function for each difference.

Runs in LocalStack's own Python. `original` is what LocalStack does. What cannot be mended here is
in `docs/aws-assumptions.md`, with the command that shows it on a real account: IAM is not enforced,
dashboards are not made, metrics and alarms are not evaluated, a failed update is not rolled back.
"""

import base64
import gzip
import json
import logging
import queue
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import wraps
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError
from localstack import config
from localstack.aws import handlers
from localstack.aws.api.logs import ResourceNotFoundException
from localstack.aws.api.s3 import PreconditionFailed
from localstack.aws.connect import connect_to
from localstack.http import Response, route
from localstack.services.cloudformation.engine.v2.change_set_model import is_nothing
from localstack.services.cloudformation.engine.v2.change_set_model_executor import (
    ChangeSetModelExecutor,
)
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    ChangeSetModelPreproc,
    PreprocEntityDelta,
)
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceProviderExecutor,
)
from localstack.services.edge import ROUTER
from localstack.services.iam.provider import IamProvider
from localstack.services.lambda_.invocation import event_manager
from localstack.services.lambda_.invocation.event_manager import Poller, SQSInvocation
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment
from localstack.services.lambda_.invocation.logs import QUEUE_SHUTDOWN, LogHandler
from localstack.services.lambda_.provider import LambdaProvider
from localstack.services.lambda_.resource_providers.aws_lambda_eventsourcemapping import (
    LambdaEventSourceMappingProvider,
)
from localstack.services.logs.models import logs_stores
from localstack.services.logs.provider import LogsProvider
from localstack.services.logs.resource_providers.aws_logs_loggroup import LogsLogGroupProvider
from localstack.services.logs.resource_providers.aws_logs_subscriptionfilter import (
    LogsSubscriptionFilterProvider,
)
from localstack.services.s3.provider import S3Provider
from moto.logs.exceptions import (
    InvalidParameterException,
    LimitExceededException,
    ResourceAlreadyExistsException,
)
from moto.logs.models import LogEvent, LogGroup, LogsBackend, LogStream, SubscriptionFilter

LOG = logging.getLogger("tests.cloud")

_DEFAULT_TIMEOUT = 3600
"""Seconds that CloudFormation waits for a custom resource's answer."""


def mend() -> None:
    """Correct every difference."""
    for difference in (
        event_settings_of_an_alias,
        events_during_an_update,
        log_during_an_update,
        on_failure_destination_s3,
        log_group_of_a_function,
        function_configuration_of_an_alias,
        event_settings_of_an_arn,
        simulated_rights,
        subscription_filters,
        filters_of_a_template,
        account_policies,
        ids_of_log_events,
        tags_of_log_groups,
        conditional_deletes,
        custom_resources,
        destinations,
        parts_without_their_condition,
        deletion_policies,
        waiting_for_resources,
        request_ids,
    ):
        difference()


def instead_of(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function in the place of one of LocalStack's, which it gets as its first argument."""
    original = getattr(owner, name)

    def replace(new: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*args: Any, **named: Any) -> Any:
            return new(original, *args, **named)

        setattr(owner, name, call)
        return new

    return replace


def event_settings_of_an_alias() -> None:
    """Apply an alias's EventInvokeConfig to what was sent to the alias.

    LocalStack looks up the settings of the version behind it.
    """

    @instead_of(Poller, "handle_message")
    def handle_message(original: Any, self: Any, message: Any) -> None:
        arn = SQSInvocation.decode(message["Body"]).invocation.invoked_arn
        poller, manager, function = copy(self), copy(self.version_manager), None
        function = copy(manager.function)
        settings = function.event_invoke_configs.get(_qualifier(arn))
        function.event_invoke_configs = {manager.function_version.id.qualifier: settings}
        manager.function, poller.version_manager = function, manager
        original(poller, message)


def events_during_an_update() -> None:
    """Hand over every event, also while a function is changed.

    LocalStack forgets, for a quarter of an hour, those that it has taken from the queue and not
    handed over when the function changes. What is handed to the version before is tried again.
    """

    @instead_of(Poller, "run")
    def run(_: Any, self: Any, *__: Any, **___: Any) -> None:
        queue_client = event_manager.get_sqs_client(self.version_manager.function_version)
        seconds = self.version_manager.function_version.config.timeout
        try:
            while not self._shutdown_event.is_set():
                answer = queue_client.receive_message(
                    QueueUrl=self.event_queue_url,
                    WaitTimeSeconds=1,
                    MaxNumberOfMessages=10,
                    VisibilityTimeout=seconds + 60,
                )
                for message in answer.get("Messages") or []:
                    self.invoker_pool.submit(self.handle_message, message)
        finally:
            self.invoker_pool.shutdown(wait=False)

    @instead_of(Poller, "stop")
    def stop(_: Any, self: Any) -> None:
        self._shutdown_event.set()


def log_during_an_update() -> None:
    """Write the log of an event that a function still works on when the function changes.

    LocalStack ends the writer of the version before, and with it what it has not written.
    """
    changing = Lock()

    @instead_of(LogHandler, "stop")
    def stop(_: Any, self: Any) -> None:
        with changing:
            self.has_ended = True
            self.log_queue.put(QUEUE_SHUTDOWN)

    @instead_of(LogHandler, "add_logs")
    def add_logs(original: Any, self: Any, log_item: Any) -> None:
        with changing:
            if not getattr(self, "has_ended", False):
                original(self, log_item)
                return
        # The thread that has worked on the event writes what the writer does not read any more.
        late = LogHandler(self.role_arn, self.region)
        late.log_queue.put(log_item)
        late.log_queue.put(QUEUE_SHUTDOWN)
        late.run_log_loop()


def on_failure_destination_s3() -> None:
    """Take a bucket as the destination of failed events, and write them to it.

    Key and object are as Lambda's documentation has them.
    """

    @instead_of(LambdaProvider, "_validate_destination_config")
    def validate(original: Any, self: Any, store: Any, function: str, destinations: Any) -> None:
        arn = destinations.get("OnFailure", {}).get("Destination") or ""
        others = {} if _is_bucket(arn) else {"OnFailure": destinations.get("OnFailure", {})}
        original(self, store, function, {"OnSuccess": destinations.get("OnSuccess", {}), **others})

    @instead_of(event_manager, "send_event_to_target")
    def send(original: Any, target_arn: str, event: Any, **others: Any) -> None:
        if not _is_bucket(target_arn):
            original(target_arn=target_arn, event=event, **others)
            return
        _, _, _, region, account, _, name, *_ = event["requestContext"]["functionArn"].split(":")
        now = datetime.now(UTC)
        _client("s3", account, region).put_object(
            Bucket=target_arn.rpartition(":")[2],
            Key=f"aws/lambda/async/{name}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}",
            Body=json.dumps(event).encode(),
        )


def log_group_of_a_function() -> None:
    """Write a function's log to the log group that its LoggingConfig names."""

    @instead_of(ExecutionEnvironment, "get_log_group_name")
    def get_log_group_name(original: Any, self: Any) -> str:
        named = (self.function_version.config.logging_config or {}).get("LogGroup")
        return str(named or original(self))


def function_configuration_of_an_alias() -> None:
    """Have GetFunctionConfiguration take an alias, as GetFunction does."""

    @instead_of(LambdaProvider, "get_function_configuration")
    def get_function_configuration(
        _: Any, self: Any, context: Any, function_name: str, qualifier: Any = None, **__: Any
    ) -> Any:
        return self.get_function(context, function_name, qualifier)["Configuration"]


def event_settings_of_an_arn() -> None:
    """Have ListFunctionEventInvokeConfigs take a function's ARN, not its name only."""

    @instead_of(LambdaProvider, "list_function_event_invoke_configs")
    def list_configs(
        original: Any, self: Any, context: Any, function_name: str, *args: Any, **named: Any
    ) -> Any:
        return original(self, context, function_name.rpartition(":")[2], *args, **named)


def simulated_rights() -> None:
    """Match the wildcards of policies where rights are simulated; LocalStack compares texts."""
    original = IamProvider.build_evaluation_result

    def evaluate(action: str, resource: str, statements: list[dict[str, Any]]) -> Any:
        fitting = [
            {**each, "Action": [action], "Resource": [resource]}
            for each in statements
            if _fits(action, each["Action"]) and _fits(resource, each["Resource"])
        ]
        return original(action, resource, fitting)

    IamProvider.build_evaluation_result = staticmethod(evaluate)


def _fits(text: str, patterns: str | list[str]) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in listed)


def subscription_filters() -> None:
    """Send log events to functions as events, as AWS does, and keep each filter to itself.

    LocalStack waits for the function, fails PutLogEvents where the function fails, and mixes up
    the log events of two filters. It checks no permission, refuses to change a filter where there
    are two, and makes no log stream where there is one.
    """

    @instead_of(LogsBackend, "put_subscription_filter")
    def put_filter(  # noqa: PLR0913 - each is a field of the call
        _: Any, self: Any, group: str, name: str, pattern: str, destination: str, role: Any = None
    ) -> None:
        if group not in self.groups:
            raise ResourceNotFoundException("The specified log group does not exist.")
        _demand_permission(destination)
        filters = self.groups[group].subscription_filters
        if name not in filters and len(filters) >= 2:
            raise LimitExceededException
        if name in filters:
            filters[name].update(pattern, destination, role)
        else:
            filters[name] = SubscriptionFilter(name, group, pattern, destination, role)

    @instead_of(LogGroup, "create_log_stream")
    def create_log_stream(_: Any, self: Any, log_stream_name: str) -> None:
        if log_stream_name in self.streams:
            raise ResourceAlreadyExistsException
        self.streams[log_stream_name] = LogStream(self, log_stream_name)

    @instead_of(LogStream, "put_log_events")
    def put_log_events(_: Any, self: Any, log_events: list[dict[str, Any]]) -> str:
        self.last_ingestion_time = time.time_ns() // 1_000_000
        self.stored_bytes += sum(len(event["message"]) for event in log_events)
        events = [LogEvent(self.last_ingestion_time, event) for event in log_events]
        self.events += events
        self.upload_sequence_token += 1
        for each in list(self.log_group.subscription_filters.values()):
            _send(self, events, each.destination_arn, {"subscriptionFilters": [each.name]})
        for policy in _policies_of(self.log_group):
            destination = json.loads(policy["policyDocument"])["DestinationArn"]
            named = {"subscriptionFilters": [policy["policyName"]]}
            _send(self, events, destination, {**named, "policyLevel": "ACCOUNT_LEVEL_POLICY"})
        return f"{self.upload_sequence_token:056d}"


def filters_of_a_template() -> None:
    """Give a filter of a template the name that the template gives it.

    LocalStack takes the name of the log group.
    """

    @instead_of(LogsSubscriptionFilterProvider, "create")
    def create(_: Any, self: Any, request: Any) -> Any:
        model = request.desired_state
        request.aws_client_factory.logs.put_subscription_filter(
            logGroupName=model["LogGroupName"],
            filterName=model["FilterName"],
            filterPattern=model["FilterPattern"],
            destinationArn=model["DestinationArn"],
        )
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    @instead_of(LogsSubscriptionFilterProvider, "delete")
    def delete(_: Any, self: Any, request: Any) -> Any:
        model = request.desired_state
        request.aws_client_factory.logs.delete_subscription_filter(
            logGroupName=model["LogGroupName"], filterName=model["FilterName"]
        )
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def account_policies() -> None:
    """Have account policies of the type SUBSCRIPTION_FILTER_POLICY; LocalStack has none."""

    @instead_of(LogsProvider, "put_account_policy")
    def put(_: Any, self: Any, context: Any, policy_name: str, **named: Any) -> Any:
        _demand_permission(json.loads(named["policy_document"])["DestinationArn"])
        kept = _ACCOUNT_POLICIES[context.account_id, context.region]
        if set(kept) - {policy_name}:
            raise LimitExceededException
        kept[policy_name] = {
            "policyName": policy_name,
            "policyType": named["policy_type"],
            "policyDocument": named["policy_document"],
            "selectionCriteria": named.get("selection_criteria") or "",
            "scope": "ALL",
            "accountId": context.account_id,
            "lastUpdatedTime": time.time_ns() // 1_000_000,
        }
        return {"accountPolicy": kept[policy_name]}

    @instead_of(LogsProvider, "describe_account_policies")
    def describe(
        _: Any, self: Any, context: Any, policy_type: str, policy_name: Any = None, **__: Any
    ) -> Any:
        kept = _ACCOUNT_POLICIES[context.account_id, context.region]
        if policy_name is not None and policy_name not in kept:
            raise ResourceNotFoundException("The specified policy does not exist.")
        return {"accountPolicies": [p for key, p in kept.items() if policy_name in {None, key}]}

    @instead_of(LogsProvider, "delete_account_policy")
    def delete(_: Any, self: Any, context: Any, policy_name: str, **__: Any) -> None:
        if _ACCOUNT_POLICIES[context.account_id, context.region].pop(policy_name, None) is None:
            raise ResourceNotFoundException("The specified policy does not exist.")


def ids_of_log_events() -> None:
    """Give log events ids of 56 digits, as CloudWatch Logs lays them out.

    LocalStack counts from 0. The layout is that of `loki_shipper.local.sample.event_id`, whose
    dependencies are not installed here.
    """

    @instead_of(LogEvent, "__init__")
    def init(original: Any, self: Any, ingestion_time: int, log_event: Any) -> None:
        original(self, ingestion_time, log_event)
        call = random.getrandbits(64)
        self.event_id = f"{self.timestamp << 144 | ingestion_time << 80 | call << 16:056d}"


def tags_of_log_groups() -> None:
    """Keep the tags of a log group, and show them to GetResources.

    LocalStack forgets those that a template names and those that an untagged log group gets, and
    shows only the tags with which a log group was made.
    """

    @instead_of(LogsLogGroupProvider, "create")
    def create(original: Any, self: Any, request: Any) -> Any:
        made = original(self, request)
        _tag_log_group(request)
        return made

    @instead_of(LogsLogGroupProvider, "update")
    def update(_: Any, self: Any, request: Any) -> Any:
        _tag_log_group(request)
        model = {**request.previous_state, **request.desired_state}
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    @instead_of(LogsProvider, "tag_resource")
    def tag_resource(
        original: Any, self: Any, context: Any, resource_arn: str, tags: Any, **others: Any
    ) -> None:
        logs_stores[context.account_id][context.region].TAGS.setdefault(resource_arn, {})
        original(self, context, resource_arn, tags, **others)

    @instead_of(LogsBackend, "list_tags_for_resource")
    def list_tags(_: Any, self: Any, resource_arn: str) -> dict[str, str]:
        tags = logs_stores[self.account_id][self.region_name].TAGS
        return dict(tags.get(resource_arn.removesuffix(":*"), {}))


def conditional_deletes() -> None:
    """Delete objects on the condition of their ETag, as S3 has done since 2025."""

    @instead_of(S3Provider, "delete_object")
    def delete_object(  # noqa: PLR0913 - each is a field of the call
        original: Any,
        self: Any,
        context: Any,
        bucket: str,
        key: str,
        if_match: Any = None,
        **o: Any,
    ) -> Any:
        if if_match and _etag(self, context, bucket, key) not in {None, if_match.strip('"')}:
            raise PreconditionFailed("A pre-condition did not hold", Condition="If-Match")
        return original(self, context, bucket, key, **o)

    @instead_of(S3Provider, "delete_objects")
    def delete_objects(
        original: Any, self: Any, context: Any, bucket: str, delete: Any, **others: Any
    ) -> Any:
        changed = [
            each["Key"]
            for each in delete["Objects"]
            if (etag := each.get("ETag"))
            and _etag(self, context, bucket, each["Key"]) not in {None, etag.strip('"')}
        ]
        kept = [each for each in delete["Objects"] if each["Key"] not in changed]
        answer = (
            original(self, context, bucket, {**delete, "Objects": kept}, **others) if kept else {}
        )
        faults = [{"Key": key, "Code": "PreconditionFailed", "Message": ""} for key in changed]
        return {**answer, "Errors": [*answer.get("Errors", []), *faults]} if faults else answer


def custom_resources() -> None:
    """Run custom resources: invoke their function, and wait for its answer at a URL on loopback.

    LocalStack takes them all as made.
    """
    ROUTER.add(_take_answer)
    load = ResourceProviderExecutor.try_load_resource_provider

    def try_load(resource_type: str) -> Any:
        is_custom = resource_type.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))
        return CustomResource() if is_custom else load(resource_type)

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(try_load)


def parts_without_their_condition() -> None:
    """Do not read a resource or an output of which the condition is false.

    LocalStack refuses the attributes of other such resources that it names.
    """
    for name in ("visit_node_resource", "visit_node_output"):

        @instead_of(ChangeSetModelPreproc, name)
        def visit(original: Any, self: Any, *args: Any, **named: Any) -> Any:
            [node] = (*args, *named.values())
            if not is_nothing(node.condition_reference):
                condition = self._resolve_resource_condition_reference(node.condition_reference)
                if condition.before is not True and condition.after is not True:
                    return PreprocEntityDelta()
            return original(self, node)

    # An update may remove a resource together with another one that names it.
    @instead_of(ChangeSetModelPreproc, "_resolve_attribute")
    def resolve_attribute(original: Any, self: Any, arguments: Any, select_before: Any) -> Any:
        name = (arguments.split(".") if isinstance(arguments, str) else arguments)[0]
        before, after = _is_there(self, name)
        is_there = before if select_before else after
        return original(self, arguments, select_before) if is_there else ""

    @instead_of(ChangeSetModelPreproc, "_resolve_reference")
    def resolve_reference(original: Any, self: Any, logical_id: str) -> Any:
        found = original(self, logical_id)
        before, after = _is_there(self, logical_id)
        return PreprocEntityDelta(
            before=found.before if before else "", after=found.after if after else ""
        )


def destinations() -> None:
    """Have destinations of CloudWatch Logs, and functions that read a Kinesis stream.

    LocalStack takes no filter that sends to a destination, and its Kinesis is a program of its own.
    So log events for a destination go to the function that reads its stream, as a batch of one.
    """
    load = ResourceProviderExecutor.try_load_resource_provider

    def try_load(resource_type: str) -> Any:
        return Destination() if resource_type == "AWS::Logs::Destination" else load(resource_type)

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(try_load)

    @instead_of(LambdaEventSourceMappingProvider, "create")
    def create(original: Any, self: Any, request: Any) -> Any:
        wanted = request.desired_state
        if ":kinesis:" not in wanted["EventSourceArn"]:
            return original(self, request)
        _READERS[wanted["EventSourceArn"]] = wanted["FunctionName"]
        model = {**wanted, "Id": f"of-{wanted['EventSourceArn']}"}
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    @instead_of(LambdaEventSourceMappingProvider, "delete")
    def delete(original: Any, self: Any, request: Any) -> Any:
        gone = request.desired_state
        if ":kinesis:" not in gone["EventSourceArn"]:
            return original(self, request)
        del _READERS[gone["EventSourceArn"]]
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=gone)


def deletion_policies() -> None:
    """Leave resources whose DeletionPolicy retains them where a stack is deleted."""

    @instead_of(ChangeSetModelExecutor, "_execute_resource_action")
    def execute(original: Any, self: Any, **named: Any) -> Any:
        template = self._change_set.stack.template or {}
        resource = template.get("Resources", {}).get(named["logical_resource_id"], {})
        kept = str(resource.get("DeletionPolicy", "Delete")).startswith("Retain")
        if str(named["action"]) == "Remove" and kept:
            return ProgressEvent(OperationStatus.SUCCESS, resource_model={})
        return original(self, **named)


def waiting_for_resources() -> None:
    """Look several times a second whether a resource is ready, not every five seconds."""

    @instead_of(ResourceProviderExecutor, "deploy_loop")
    def deploy_loop(original: Any, self: Any, *args: Any) -> Any:
        return original(self, *args, sleep_time=0.2)


def request_ids() -> None:
    """Give each answer the header with its request's id, by which people know that it is AWS's."""

    def add(_: Any, context: Any, response: Any) -> None:
        if context.service is not None and "x-amz-request-id" not in response.headers:
            response.headers.setdefault("x-amzn-RequestId", context.request_id)

    handlers.run_custom_response_handlers.append(add)


class CustomResource(ResourceProvider):
    """A custom resource, as CloudFormation speaks with its function."""

    SCHEMA = {"primaryIdentifier": ["/properties/PhysicalResourceId"]}  # noqa: RUF012 - LocalStack's

    def create(self, request: Any) -> Any:
        return _ask_function("Create", request, request.desired_state)

    def update(self, request: Any) -> Any:
        before = request.previous_state
        wanted = {**request.desired_state, "PhysicalResourceId": before["PhysicalResourceId"]}
        return _ask_function(
            "Update", request, wanted, {"OldResourceProperties": _properties(before)}
        )

    def delete(self, request: Any) -> Any:
        return _ask_function("Delete", request, request.desired_state)


class Destination(ResourceProvider):
    """A destination of CloudWatch Logs."""

    SCHEMA = {"primaryIdentifier": ["/properties/DestinationName"]}  # noqa: RUF012 - LocalStack's

    def create(self, request: Any) -> Any:
        wanted = request.desired_state
        json.loads(wanted["DestinationPolicy"])
        place = f"{request.region_name}:{request.account_id}"
        arn = f"arn:aws:logs:{place}:destination:{wanted['DestinationName']}"
        _DESTINATIONS[arn] = wanted["TargetArn"]
        return ProgressEvent(OperationStatus.SUCCESS, resource_model={**wanted, "Arn": arn})

    def delete(self, request: Any) -> Any:
        del _DESTINATIONS[request.desired_state["Arn"]]
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=request.desired_state)


_DESTINATIONS: dict[str, str] = {}
"""The stream of each destination."""

_READERS: dict[str, str] = {}
"""The function that reads each stream."""

_ANSWERS: dict[str, queue.SimpleQueue[Any]] = {}
_ACCOUNT_POLICIES: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)


@route("/_cloudformation/answers/<token>", methods=["PUT"])
def _take_answer(request: Any, token: str) -> Any:
    # CloudFormation signs its URLs for an empty content type.
    if request.headers.get("Content-Type"):
        return Response(status=403)
    _ANSWERS[token].put(json.loads(request.data))
    return Response(status=200)


def _ask_function(kind: str, request: Any, state: Any, more: Any = None) -> Any:
    token = str(uuid.uuid4())
    stacks = _client("cloudformation", request.account_id, request.region_name)
    [stack] = stacks.describe_stacks(StackName=request.stack_name)["Stacks"]
    event = {
        "RequestType": kind,
        "RequestId": token,
        "ResponseURL": f"{_own_url()}/_cloudformation/answers/{token}",
        "StackId": stack["StackId"],
        "LogicalResourceId": request.logical_resource_id,
        "ResourceType": request.resource_type,
        "ServiceToken": state["ServiceToken"],
        "ResourceProperties": _properties(state),
        **({"PhysicalResourceId": state["PhysicalResourceId"]} if kind != "Create" else {}),
        **(more or {}),
    }
    _ANSWERS[token] = queue.SimpleQueue()
    _client("lambda", request.account_id, request.region_name).invoke(
        FunctionName=state["ServiceToken"], InvocationType="Event", Payload=json.dumps(event)
    )
    try:
        answer = _ANSWERS[token].get(timeout=int(state.get("ServiceTimeout", _DEFAULT_TIMEOUT)))
    except queue.Empty:
        return ProgressEvent(OperationStatus.FAILED, {}, message="CloudFormation got no answer")
    finally:
        del _ANSWERS[token]
    if answer["Status"] != "SUCCESS":
        return ProgressEvent(OperationStatus.FAILED, {}, message=answer["Reason"])
    model = {**state, "PhysicalResourceId": answer["PhysicalResourceId"]}
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def _properties(state: Any) -> Any:
    return {name: value for name, value in state.items() if name != "PhysicalResourceId"}


def _own_url() -> str:
    return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"


def _client(service: str, account: str, region: str) -> Any:
    clients = connect_to(aws_access_key_id=account, region_name=region)
    return clients.lambda_ if service == "lambda" else getattr(clients, service)


def _is_there(preproc: Any, logical_id: str) -> tuple[bool, bool]:
    """Tell whether the condition of a resource holds before an update, and after it."""
    for node in preproc._change_set.update_model.node_template.resources.resources:
        if node.name == logical_id and not is_nothing(node.condition_reference):
            condition = preproc._resolve_resource_condition_reference(node.condition_reference)
            return condition.before is not False, condition.after is not False
    return True, True


def _qualifier(function_arn: str) -> str:
    """Give an ARN's version or alias."""
    parts = function_arn.split(":")
    return parts[7] if len(parts) > 7 else "$LATEST"


def _tag_log_group(request: Any) -> None:
    """Give a stack's log group the tags of the template, and no others."""
    logs = _client("logs", request.account_id, request.region_name)
    name = request.desired_state["LogGroupName"]
    arn = f"arn:aws:logs:{request.region_name}:{request.account_id}:log-group:{name}"
    tags = {tag["Key"]: tag["Value"] for tag in request.desired_state.get("Tags") or []}
    if before := logs.list_tags_for_resource(resourceArn=arn)["tags"]:
        logs.untag_resource(resourceArn=arn, tagKeys=[*before])
    if tags:
        logs.tag_resource(resourceArn=arn, tags=tags)


def _is_bucket(arn: str) -> bool:
    return arn.split(":")[2:3] == ["s3"]


def _etag(provider: Any, context: Any, bucket: str, key: str) -> str | None:
    """Give an object's ETag; None where there is no object."""
    _, kept = provider._get_cross_account_bucket(context, bucket)
    found = kept.objects.get(key)
    return found.etag if found else None


def _demand_permission(function_arn: str) -> None:
    """Refuse a function that CloudWatch Logs may not invoke, in the words of AWS."""
    if ":destination:" in function_arn:
        if function_arn not in _DESTINATIONS:
            raise InvalidParameterException(msg="The specified destination does not exist.")
        return
    _, _, _, region, account, *_ = function_arn.split(":")
    functions = _client("lambda", account, region)
    try:
        policy = functions.get_policy(FunctionName=function_arn)["Policy"]
    except ClientError:
        policy = ""
    if "logs.amazonaws.com" not in policy and f"logs.{region}.amazonaws.com" not in policy:
        message = "Could not execute the lambda function. Make sure you have given CloudWatch Logs "
        raise InvalidParameterException(msg=f"{message}permission to execute your function.")


def _policies_of(group: Any) -> list[dict[str, Any]]:
    """Give the account policies that apply to a log group."""
    found = []
    for policy in list(_ACCOUNT_POLICIES[group.account_id, group.region].values()):
        _, _, listed = policy.get("selectionCriteria", "").partition("NOT IN ")
        destination = json.loads(policy["policyDocument"])["DestinationArn"].split(":")
        own = f"/aws/lambda/{destination[6]}"
        if group.name not in {own, *json.loads(listed or "[]")}:
            found.append(policy)
    return found


def _batch_of_kinesis(packed: str) -> dict[str, Any]:
    record = {
        "sequenceNumber": str(time.time_ns()),
        "partitionKey": "any",
        "data": packed,
        "approximateArrivalTimestamp": time.time(),
    }
    return {"Records": [{"eventSource": "aws:kinesis", "kinesis": record}]}


def _send(stream: Any, events: list[Any], destination: str, more: dict[str, Any]) -> None:
    """Invoke a function on log events, as an event; what cannot be delivered is lost, as on AWS."""
    data = {
        "messageType": "DATA_MESSAGE",
        "owner": stream.account_id,
        "logGroup": stream.log_group.name,
        "logStream": stream.log_stream_name,
        **more,
        "logEvents": [
            {"id": event.event_id, "timestamp": event.timestamp, "message": event.message}
            for event in events
        ],
    }
    packed = base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()
    event: Any = {"awslogs": {"data": packed}}
    if ":destination:" in destination:
        event = _batch_of_kinesis(packed)
    _, _, _, region, account, *_ = destination.split(":")
    try:
        _client("lambda", account, region).invoke(
            FunctionName=_READERS[_DESTINATIONS[destination]]
            if destination in _DESTINATIONS
            else destination,
            InvocationType="Event",
            Payload=json.dumps(event),
        )
    except ClientError as error:
        LOG.warning("log events of %s were not delivered: %s", stream.log_group.name, error)
