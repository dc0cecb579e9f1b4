"""An AWS of one account and Region in memory, on a clock of its own.

It has what moto lacks: limits a second, log classes, the account policy, permissions that come
later, log groups that go between two calls, and filters that become effective a while after they
were put. It knows of each line whether a filter or the policy delivered it. Its clients take what
boto3's take: each call is checked against botocore's service model, so that a wrong parameter
fails.
"""

import copy
import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import combinations
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.session import get_session
from botocore.validate import validate_parameters

from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.clock import Clock
from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.clients import SubscriberClients
from loki_shipper.subscriber.memory import Memory, decode_memory, memory_key
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.settings import SubscriberSettings

ACCOUNT, REGION = "123456789012", "eu-central-1"
SHIPPER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:loki-shipper-shipper"
OTHERS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:somebody-elses"
BUCKET = "loki-shipper-bucket"
HUB_BUCKET = "hub-bucket"
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/loki-shipper-changes"
LOG_FILES_QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:loki-shipper-LogFilesQueue"
RULE = "loki-shipper-LogFilesRule"
NAME = "loki-shipper"
BEGIN = 1_790_000_000.0
"""When the fake's time begins, in seconds since 1970."""

_SHIPPER_SECONDS = 112
"""What the shipper takes of its Timeout, by default, before it fails."""

_PAGES = {"DescribeLogGroups": 50, "FilterLogEvents": 10_000}
_LIMITS = {
    "DescribeLogGroups": 10,
    "GetResources": 15,
    "PutSubscriptionFilter": 5,
    "DeleteSubscriptionFilter": 5,
    "DescribeSubscriptionFilters": 5,
    "ListTagsForResource": 5,
    "ListTagsLogGroup": 5,
    "FilterLogEvents": 5,
}
"""AWS's limits, in calls a second for an account and Region."""


def configured(**fields: Any) -> SubscriberSettings:
    """The settings of a stack with our defaults."""
    return SubscriberSettings(**{"shipper_arn": SHIPPER, "bucket": BUCKET, **fields})


type Line = tuple[str, str, str]
"""A line as its log group, event id and text."""


class FakeAws:
    """The fake; tests set its fields, and read `calls`."""

    def __init__(self) -> None:
        self.time = BEGIN
        self.latency = 0.02
        self.limits: dict[str, float] = dict(_LIMITS)
        self.places = 2
        self.permitted_from = 0.0
        self.effective_after = 0.0
        """Seconds that a new filter or a new account policy takes to become effective."""
        self.groups: dict[str, dict[str, Any]] = {}
        self.function_tags: dict[str, dict[str, str]] = {}
        self.stale_tags: dict[str, dict[str, str]] | None = None
        """What GetResources says of log groups in place of the truth."""
        self.policy: dict[str, Any] | None = None
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.hub_objects: dict[str, tuple[bytes, str]] = {}
        """What the bucket of a hub holds, which a member may not list."""
        self.buckets: dict[str, dict[str, Any]] = {}
        """Buckets with log files."""
        self.rule: dict[str, Any] = {
            "Name": RULE,
            "Description": "of the template",
            "EventPattern": '{"source": ["nothing"]}',
            "State": "DISABLED",
        }
        """The rule of EventBridge for them."""
        self.resources: dict[str, dict[str, str]] = {}
        """Tags of other resources, by ARN."""
        self.queue: list[str] = []
        """Messages that were put on the queue."""
        self.shipped: list[dict[str, Any]] = []
        self.report: dict[str, Any] = {}
        """What the shipper says of each invocation."""
        self.refused: Callable[[str], bool] = lambda _: False
        """Whether Loki takes nothing of a log group: the shipper tries until its time is up."""
        self.delivered: set[Line] = set()
        """What a filter or the account policy has sent."""
        self.advance: Callable[[float], None] = self.pass_time
        """How time passes; runs that take place at once take turns."""
        self.calls = Counter[str]()
        self.throttled = Counter[str]()
        self.conflicts = 0
        """How often somebody else had written an object meanwhile."""
        self.before: dict[str, Callable[[dict[str, Any]], object]] = {}
        """What happens just before a call is answered, by operation; it may raise `error`."""
        self._listed: dict[str, list[Any]] = {}
        self._covered: dict[str, float] = {}
        self._line_every: float | None = None
        self._next_line = 0.0
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)

    # What tests do and see

    def group(
        self,
        name: str,
        *,
        log_class: str = "STANDARD",
        filters: dict[str, str] | None = None,
        age: float = 90 * 86_400,
        **tags: str,
    ) -> None:
        """Make a log group, so many seconds old, with filters (name to destination) and tags."""
        self.groups[name] = {
            "created": int((self.time - age) * 1000),
            "class": log_class,
            "tags": tags,
            "filters": {
                each: {"pattern": "", "destination": to, "since": int(self.time * 1000)}
                for each, to in (filters or {}).items()
            },
            "events": [],
        }
        self._cover()

    def bucket(
        self, name: str, *, region: str = REGION, owner: str = ACCOUNT, **config: Any
    ) -> None:
        """Make a bucket with a notification configuration."""
        self.buckets[name] = {"region": region, "owner": owner, "config": config}

    def notifications(self, name: str) -> dict[str, Any]:
        """The notification configuration of a bucket, which tests may change."""
        config: dict[str, Any] = self.buckets[name]["config"]
        return config

    def log(
        self,
        name: str,
        log_stream: str,
        message: str,
        *,
        at: float | None = None,
        ingested: float | None = None,
    ) -> None:
        """Write a line to a log group, now or at a time in seconds since 1970.

        It is ingested at its own time, unless told otherwise.
        """
        events = self.groups[name]["events"]
        when = self.time if at is None else at
        came = when if ingested is None else ingested
        event_id = f"{int(when * 1000) << 144 | len(events):056d}"
        events.append(
            {
                "logStreamName": log_stream,
                "timestamp": int(when * 1000),
                "ingestionTime": int(came * 1000),
                "message": message,
                "eventId": event_id,
            }
        )
        if self._delivers(name, message, came):
            self.delivered.add((name, event_id, message))

    def log_every(self, seconds: float) -> None:
        """From now on, write a line to each log group every so many seconds."""
        self._line_every = seconds
        self._next_line = self.time

    @property
    def caught_up(self) -> list[Line]:
        """What the shipper was invoked with."""
        return [
            (data.log_group, str(event.id), event.message)
            for shipped in self.shipped
            for data in records(shipped)
            for event in data.log_events
        ]

    def lost(self, *names: str) -> list[Line]:
        """The lines of log groups that neither a filter, the policy nor a catch-up has shipped."""
        shipped = self.delivered.union(self.caught_up)
        return [
            line
            for name in names or self.groups
            for event in self.groups[name]["events"]
            if (line := (name, event["eventId"], event["message"])) not in shipped
        ]

    @property
    def linked(self) -> dict[str, str]:
        """Log groups with our filter, and its pattern."""
        return {
            name: group["filters"][NAME]["pattern"]
            for name, group in self.groups.items()
            if NAME in group["filters"]
        }

    def options(self, name: str) -> dict[str, Any]:
        """The options of our filter on a log group, which tests may set as people do by hand."""
        options: dict[str, Any] = self.groups[name]["filters"][NAME].setdefault("options", {})
        return options

    @property
    def memory(self) -> Memory:
        """What the subscriber has written down."""
        found = self.objects.get(memory_key(configured().origin))
        return decode_memory(None if found is None else found[0])

    def dependencies(
        self,
        settings: SubscriberSettings | None = None,
        *,
        seconds: float = 840,
        stack_status: Callable[[], str | None] = lambda: None,
        share: float = 1.0,
        jitter: Callable[[float], float] = lambda _: 0.0,
    ) -> SubscriberDependencies:
        """A run that may take so many seconds, and make such a share of the calls."""
        settings = configured() if settings is None else settings
        end = self.time + seconds
        pace = PacedCalls(
            clock=lambda: self.time,
            sleep=self.sleep,
            remaining=lambda: end - self.time,
            jitter=jitter,
            share=share,
        )
        clock = Clock(lambda: int(self.time * 1000), self.sleep, lambda: end - self.time)
        aws = SubscriberAws(self.clients(), settings, pace)
        return SubscriberDependencies(aws, settings, clock, stack_status=stack_status)

    def clients(self) -> SubscriberClients:
        """Clients of this AWS."""
        services = "logs", "resourcegroupstaggingapi", "s3", "lambda", "sqs", "events"
        return SubscriberClients(*(Client(self, service) for service in services))

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.advance(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the lines be written that fall into it."""
        end = self.time + seconds
        while self._line_every is not None and self._next_line <= end:
            self.time = max(self.time, self._next_line)
            self._next_line += self._line_every
            for name, group in self.groups.items():
                if group["class"] == "STANDARD":
                    self.log(name, "s", f"line of {self.time:.0f}")
        self.time = end

    # What is delivered

    def _delivers(self, name: str, message: str, came: float) -> bool:
        """Tell whether CloudWatch Logs sends a line to the shipper as it comes."""
        ours = self.groups[name]["filters"].get(NAME)
        if ours is not None and ours["destination"] == SHIPPER and ours["pattern"] in message:
            # A filter that a test has made is as old as the log group.
            since = ours.get("put", float("-inf"))
            if came >= since + self.effective_after:
                return True
        covered = self._covered.get(name)
        return covered is not None and came >= covered + self.effective_after

    def _cover(self) -> None:
        """Note since when the account policy has covered which log groups, without a break."""
        excluded: set[str] = set()
        if self.policy is not None and "selectionCriteria" in self.policy:
            criteria = self.policy["selectionCriteria"]
            excluded = set(json.loads(criteria.removeprefix("LogGroupName NOT IN ")))
        ours = self.policy is not None and self.policy["policyName"] == NAME
        covered = self.groups.keys() - excluded if ours else set()
        self._covered = {name: self._covered.get(name, self.time) for name in covered}

    # How calls are answered

    def answer(self, operation: str, asked: dict[str, Any]) -> Any:
        self.sleep(self.latency)
        self.calls[operation] += 1
        self._limit(operation)
        if operation in self.before:
            self.before[operation](asked)
        return getattr(self, f"_{xform_name(operation)}")(**asked)

    def _limit(self, operation: str) -> None:
        recent = self._recent[operation]
        while recent and recent[0] <= self.time - 1:
            recent.popleft()
        recent.append(self.time)
        if len(recent) > self.limits.get(operation, 1_000):
            self.throttled[operation] += 1
            raise error("ThrottlingException", "Rate exceeded")

    def _describe_log_groups(
        self, limit: int, logGroupNamePrefix: str = "", nextToken: str = ""
    ) -> Any:
        if not nextToken:
            names = [name for name in sorted(self.groups) if name.startswith(logGroupNamePrefix)]
            self._listed["groups"] = names
        page, token = _page(self._listed["groups"], nextToken, limit)
        page = [name for name in page if name in self.groups]
        found = [
            {
                "logGroupName": name,
                "creationTime": self.groups[name]["created"],
                "logGroupClass": self.groups[name]["class"],
            }
            for name in page
        ]
        return {"logGroups": found, **token}

    def _get_resources(
        self,
        ResourceTypeFilters: list[str] | None = None,
        ResourcesPerPage: int = 50,
        PaginationToken: str = "",
    ) -> Any:
        if not PaginationToken:
            known = {name: group["tags"] for name, group in self.groups.items()}
            known |= self.stale_tags or {}
            tagged = {_arn("logs", f"log-group:{name}"): tags for name, tags in known.items()}
            tagged |= {_arn("lambda", f"function:{n}"): t for n, t in self.function_tags.items()}
            tagged |= self.resources
            kinds = {_kind(kind) for kind in ResourceTypeFilters or ["logs", "lambda"]}
            self._listed["tagged"] = [
                (arn, tags)
                for arn, tags in sorted(tagged.items())
                if tags and arn.split(":")[2] in kinds
            ]
        page, token = _page(self._listed["tagged"], PaginationToken, ResourcesPerPage)
        found = [
            {
                "ResourceARN": arn,
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
            for arn, tags in page
        ]
        return {
            "ResourceTagMappingList": found,
            "PaginationToken": token.get("nextToken", ""),
        }

    def _list_tags(self, Resource: str) -> Any:
        name = Resource.rpartition(":")[2]
        if name not in self.function_tags:
            raise error("ResourceNotFoundException", f"Function not found: {Resource}")
        return {"Tags": self.function_tags[name]}

    def _list_tags_for_resource(self, resourceArn: str) -> Any:
        assert not resourceArn.endswith(":*")
        return {"tags": self._group(resourceArn.partition(":log-group:")[2])["tags"]}

    def _list_tags_log_group(self, logGroupName: str) -> Any:
        return {"tags": self._group(logGroupName)["tags"]}

    def _describe_subscription_filters(self, logGroupName: str) -> Any:
        filters = self._group(logGroupName)["filters"]
        found = [
            {
                "filterName": name,
                "logGroupName": logGroupName,
                "filterPattern": each["pattern"],
                "destinationArn": each["destination"],
                "creationTime": each["since"],
                **each.get("options", {}),
            }
            for name, each in filters.items()
        ]
        return {"subscriptionFilters": found}

    def _put_subscription_filter(
        self,
        logGroupName: str,
        filterName: str,
        filterPattern: str,
        destinationArn: str,
        **options: Any,
    ) -> Any:
        group = self._group(logGroupName)
        if self.time < self.permitted_from:
            raise error(
                "InvalidParameterException",
                "Could not execute the lambda function. Make sure you have given CloudWatch Logs "
                "permission to execute your function.",
            )
        if group["class"] != "STANDARD":
            raise error("InvalidOperationException", "not supported for this log class")
        filters = group["filters"]
        if filterName not in filters and len(filters) >= self.places:
            raise error("LimitExceededException", "Resource limit exceeded.")
        before = filters.get(filterName, {"since": int(self.time * 1000), "put": self.time})
        filters[filterName] = {
            **before,
            "pattern": filterPattern,
            "destination": destinationArn,
            # A call without an option removes it.
            "options": options,
        }
        return {}

    def _delete_subscription_filter(self, logGroupName: str, filterName: str) -> Any:
        filters = self._group(logGroupName)["filters"]
        if filterName not in filters:
            raise error("ResourceNotFoundException", "no such subscription filter")
        del filters[filterName]
        return {}

    def _put_account_policy(self, **policy: Any) -> Any:
        document = json.loads(policy["policyDocument"])
        assert {"DestinationArn", "FilterPattern"} == document.keys()
        if self.policy is not None and self.policy["policyName"] != policy["policyName"]:
            raise error("LimitExceededException", "one subscription policy an account and Region")
        self.policy = {**policy, "lastUpdatedTime": int(self.time * 1000)}
        self._cover()
        return {"accountPolicy": self.policy}

    def _describe_account_policies(self, policyType: str, policyName: str) -> Any:
        found = self.policy
        if found is None or (found["policyType"], found["policyName"]) != (policyType, policyName):
            raise error("ResourceNotFoundException", "no such policy")
        return {"accountPolicies": [found]}

    def _delete_account_policy(self, policyName: str, policyType: str) -> Any:
        self._describe_account_policies(policyType, policyName)
        self.policy = None
        self._cover()
        return {}

    def _filter_log_events(
        self,
        logGroupName: str,
        startTime: int,
        endTime: int,
        filterPattern: str,
        nextToken: str = "",
    ) -> Any:
        events = [
            event
            for event in self._group(logGroupName)["events"]
            if startTime <= event["timestamp"] <= endTime and filterPattern in event["message"]
        ]
        events.sort(key=lambda event: event["timestamp"])
        page, token = _page(events, nextToken, _PAGES["FilterLogEvents"])
        return {"events": page, **token}

    def _invoke(self, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        assert (FunctionName, InvocationType) == (SHIPPER, "RequestResponse")
        event = json.loads(Payload)
        [data] = records(event)
        if self.refused(data.log_group):
            self.sleep(_SHIPPER_SECONDS)
            said = {"errorType": "DeliveryError", "errorMessage": "not delivered: no_connection"}
            body = BytesIO(json.dumps(said).encode())
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": body}
        self.shipped.append(event)
        return {"StatusCode": 200, "Payload": BytesIO(json.dumps(self.report).encode())}

    def _get_object(self, Bucket: str, Key: str) -> Any:
        objects = self._objects(Bucket)
        if Key not in objects and Bucket == HUB_BUCKET:
            raise error("AccessDenied", "not authorized to perform: s3:ListBucket", 403)
        if Key not in objects:
            raise error("NoSuchKey", "The specified key does not exist.", 404)
        body, etag = objects[Key]
        return {"Body": BytesIO(body), "ETag": etag}

    def _put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = ""
    ) -> Any:
        objects = self._objects(Bucket)
        _, etag = objects.get(Key, (b"", ""))
        if (IfNoneMatch and etag) or (IfMatch and IfMatch != etag):
            self.conflicts += 1
            raise error("PreconditionFailed", "", 412)
        objects[Key] = Body, f'"{self.calls["PutObject"]}"'
        return {"ETag": objects[Key][1]}

    def _objects(self, bucket: str) -> dict[str, tuple[bytes, str]]:
        if bucket == HUB_BUCKET:
            return self.hub_objects
        assert bucket == BUCKET
        return self.objects

    def _get_bucket_location(self, Bucket: str, ExpectedBucketOwner: str) -> Any:
        region = self._bucket(Bucket, ExpectedBucketOwner)["region"]
        return {"LocationConstraint": None if region == "us-east-1" else region}

    def _get_bucket_notification_configuration(self, Bucket: str, ExpectedBucketOwner: str) -> Any:
        config = copy.deepcopy(self._bucket(Bucket, ExpectedBucketOwner)["config"])
        return {"ResponseMetadata": {"HTTPStatusCode": 200}, **config}

    def _put_bucket_notification_configuration(
        self,
        Bucket: str,
        ExpectedBucketOwner: str,
        NotificationConfiguration: dict[str, Any],
        SkipDestinationValidation: bool,
    ) -> Any:
        bucket = self._bucket(Bucket, ExpectedBucketOwner)
        assert bucket["region"] == REGION
        entries = [
            each
            for listed in NotificationConfiguration.values()
            if isinstance(listed, list)
            for each in listed
        ]
        for one, other in combinations(entries, 2):
            if one.get("Filter") == other.get("Filter") and one["Events"] == other["Events"]:
                raise error("InvalidArgument", "Configurations overlap.")
        if not SkipDestinationValidation and any("gone" in str(each) for each in entries):
            raise error("InvalidArgument", "Unable to validate the following destination")
        bucket["config"] = copy.deepcopy(NotificationConfiguration)
        return {}

    def _bucket(self, name: str, owner: str) -> dict[str, Any]:
        if name not in self.buckets:
            raise error("NoSuchBucket", "The specified bucket does not exist", 404)
        if self.buckets[name]["owner"] != owner:
            raise error("AccessDenied", "Access Denied", 403)
        return self.buckets[name]

    def _describe_rule(self, Name: str) -> Any:
        assert Name == self.rule["Name"]
        return self.rule

    def _put_rule(self, Name: str, **rule: Any) -> Any:
        assert Name == self.rule["Name"]
        # What a call leaves out is gone.
        self.rule = {"Name": Name, **rule}
        return {"RuleArn": "arn"}

    def _send_message(self, QueueUrl: str, MessageBody: str) -> Any:
        assert QueueUrl == QUEUE
        self.queue.append(MessageBody)
        return {"MessageId": str(self.calls["SendMessage"])}

    def _group(self, name: str) -> dict[str, Any]:
        if name not in self.groups:
            raise error("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[name]


class Client:
    """Stands for a boto3 client of one service."""

    def __init__(self, aws: FakeAws, service: str) -> None:
        self._aws = aws
        self._operations = _operations(service)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = self._operations[name]

        def call(**asked: Any) -> Any:
            assert operation.input_shape is not None
            validate_parameters(asked, operation.input_shape)
            _check_patterns(asked, operation)
            return self._aws.answer(operation.name, asked)

        return call


def error(code: str, message: str = "", status: int = 400) -> ClientError:
    """Make an error as boto3 raises it."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "")


@cache
def _operations(service: str) -> dict[str, OperationModel]:
    model = get_session().get_service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


def _check_patterns(asked: dict[str, Any], operation: OperationModel) -> None:
    """Check enumerations and patterns, which botocore leaves to AWS."""
    assert operation.input_shape is not None
    for name, value in asked.items():
        facts = operation.input_shape.members[name].metadata
        assert value in facts.get("enum", [value]), (operation.name, name, value)
        if "pattern" in facts and operation.service_model.service_name == "logs":
            assert re.fullmatch(facts["pattern"], value), (operation.name, name, value)
        if isinstance(value, str) and "max" in facts:
            assert len(value) <= facts["max"], (operation.name, name, value)


def _page(items: list[Any], token: str, size: int) -> tuple[list[Any], dict[str, str]]:
    start = int(token or 0)
    more = {"nextToken": str(start + size)} if start + size < len(items) else {}
    return items[start : start + size], more


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _kind(resource_type: str) -> str:
    return resource_type.partition(":")[0]
