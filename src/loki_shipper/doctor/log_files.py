"""Checks the way of log files: from their buckets through the queue to the function that reads.

The check `queue` is about the function, `dead` about dead letters. `sends`, `reads` and `key` are
about one bucket each.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from loki_shipper.aws.arn import parse_arn
from loki_shipper.aws.boto import get_object
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import ObjectFound, read_object
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import DEPLOY, DoctorClients, run_check
from loki_shipper.doctor.finding import Finding, Level, failure, ok, warning
from loki_shipper.doctor.rights import denied_actions
from loki_shipper.environment import SettingsError
from loki_shipper.subscriber.bucket_calls import BucketCalls
from loki_shipper.subscriber.buckets.link import BucketEffects, planned_bucket
from loki_shipper.subscriber.buckets.notifications import OurNotifications
from loki_shipper.subscriber.buckets.plan import BucketReason, SkipBucket, WantedBucket
from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.memory import Memory, decode_memory, memory_key
from loki_shipper.subscriber.run.link_log_buckets import wanted_buckets
from loki_shipper.subscriber.settings import SubscriberSettings, settings

_PAGE = "docs/log-files.md"


def check_log_files(subscriber: DeployedFunction, clients: DoctorClients) -> Iterator[Finding]:
    """Check the queue and each bucket of LogBuckets, if the stack reads log files."""
    try:
        configured = settings(subscriber.environ)
    except SettingsError as error:
        yield failure("queue", str(error), DEPLOY)
        return
    queue = configured.log_files_queue
    if queue is None:
        return
    found = run_check("queue", partial(_queue, queue, clients))
    yield found
    yield run_check("dead", partial(_dead_letters, queue, clients))
    calls = BucketCalls(clients.s3, clients.event_rules, configured.origin.account, _once())
    memory = _memory(configured, clients)
    selection = Selection(settings=configured, by_hand=memory.by_hand, stopped=memory.stopped)
    for wanted in wanted_buckets(selection, memory):
        yield run_check("sends", partial(_sends, wanted, configured, calls))
        if wanted.prefixes and found.level is Level.OK:
            yield run_check("reads", partial(_reads, wanted, configured, clients))
            yield run_check("key", partial(_key, wanted, configured, clients))


def _queue(queue: str, clients: DoctorClients) -> Finding:
    """Check whether Lambda reads the queue."""
    mapping = _mapping(queue, clients)
    if mapping is None:
        return failure("queue", "no function reads the queue of log files", DEPLOY)
    state = mapping.get("State", "Enabled")
    if state not in {"Enabled", "Creating", "Updating", "Enabling"}:
        advice = "enable the event source mapping in Lambda's console"
        return failure("queue", f"Lambda does not read the queue: the mapping is {state}", advice)
    waiting = _messages(queue, clients)
    return ok("queue", f"Lambda reads the queue of log files; messages that wait: {waiting}")


def _dead_letters(queue: str, clients: DoctorClients) -> Finding:
    policy = _attribute(queue, "RedrivePolicy", clients)
    # The attribute is JSON with one ARN in it.
    dead = next((part for part in policy.split('"') if part.startswith("arn:")), None)
    if dead is None:
        return failure("dead", "the queue of log files has no queue for dead letters", DEPLOY)
    count = _messages(dead, clients)
    if not count:
        return ok("dead", "no message about log files has failed for good")
    says = f"messages about log files that failed for good: {count}"
    advice = (
        "the function's log has the reason; afterwards send them again: "
        "loki-shipper redrive --log-files"
    )
    return warning("dead", says, advice)


def _sends(wanted: WantedBucket, configured: SubscriberSettings, calls: BucketCalls) -> Finding:
    """Check whether new objects of a bucket are announced to the queue."""
    ours = OurNotifications(configured.filter_name, configured.log_files_queue)
    home = configured.origin.region
    effects = BucketEffects(
        home, calls.region, calls.notifications, calls.put_notifications, lambda _: None
    )
    name = wanted.name
    match planned_bucket(wanted, ours, effects):
        case SkipBucket(reason=BucketReason.LINKED):
            return ok("sends", f"{name} sends its notifications to the queue")
        case SkipBucket(reason=BucketReason.EVENT_BRIDGE):
            return _through_rule(name, configured, calls)
        case SkipBucket(reason=reason, detail=detail) if reason.is_obstacle:
            says = f"{name} is not set up by the stack: {reason.words}"
            return warning("sends", f"{says}: {detail}" if detail else says, f"see {_PAGE}")
        case SkipBucket(reason=reason):
            return warning("sends", f"{name} sends nothing: {reason.words}", f"see {_PAGE}")
        case _:
            advice = "the next sweep changes that, or now: loki-shipper link --all"
            return failure("sends", f"{name} does not send as LogBuckets says", advice)


def _through_rule(bucket: str, configured: SubscriberSettings, calls: BucketCalls) -> Finding:
    name = configured.log_files_rule
    rule = None if name is None else calls.rule(name)
    if rule is not None and rule.enabled and f'"{bucket}"' in rule.pattern:
        return ok("sends", f"{bucket} sends to EventBridge, and a rule to the queue")
    advice = "the next sweep changes that, or now: loki-shipper link --all"
    return failure("sends", f"no rule of EventBridge takes the events of {bucket}", advice)


def _reads(wanted: WantedBucket, configured: SubscriberSettings, clients: DoctorClients) -> Finding:
    """Ask IAM whether the function may read objects; it leaves out the policy of the bucket."""
    origin = configured.origin
    context = (("aws:ResourceAccount", origin.account),)
    denied = [
        resource
        for prefix in wanted.prefixes
        for resource in [f"arn:{origin.partition}:s3:::{wanted.name}/{prefix}doctor"]
        if denied_actions(
            _role(configured, clients), ["s3:GetObject"], resource, context, clients.iam
        )
    ]
    if denied:
        return failure("reads", f"the function may not read {', '.join(denied)}", DEPLOY)
    return ok("reads", f"the function may read {wanted.name}")


def _key(wanted: WantedBucket, configured: SubscriberSettings, clients: DoctorClients) -> Finding:
    """Check whether the policy of a bucket's key lets the function's role use the key."""
    name, key = wanted.name, _key_of(wanted.name, clients)
    if key is None:
        return ok("key", f"{name} is encrypted with no key of yours")
    policy = clients.keys.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    role = _role(configured, clients)
    if role in policy or f":iam::{configured.origin.account}:root" in policy:
        return ok("key", f"the policy of the key of {name} lets roles of this account use it")
    advice = f"let {role} use kms:Decrypt in the policy of the key"
    return failure("key", f"the policy of {key}, the key of {name}, may deny the function", advice)


def _key_of(bucket: str, clients: DoctorClients) -> str | None:
    """Give the KMS key of a bucket; None if it is one of AWS."""
    try:
        answer = clients.s3.get_bucket_encryption(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ServerSideEncryptionConfigurationNotFoundError":
            return None
        raise
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    defaults = [each.get("ApplyServerSideEncryptionByDefault", {}) for each in rules]
    return next((key for each in defaults if (key := each.get("KMSMasterKeyID"))), None)


def _role(configured: SubscriberSettings, clients: DoctorClients) -> str:
    """Give the role of the function that reads the queue."""
    assert configured.log_files_queue is not None
    mapping = _mapping(configured.log_files_queue, clients)
    assert mapping is not None
    found = clients.functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
    return str(found["Role"])


def _mapping(queue: str, clients: DoctorClients) -> dict[str, Any] | None:
    found = clients.functions.list_event_source_mappings(EventSourceArn=queue)
    return next(iter(found["EventSourceMappings"]), None)


def _messages(queue: str, clients: DoctorClients) -> int:
    return int(_attribute(queue, "ApproximateNumberOfMessages", clients) or 0)


def _attribute(queue: str, name: str, clients: DoctorClients) -> str:
    """Read an attribute of a queue by its ARN; empty if the queue does not have it."""
    arn = parse_arn(queue)
    assert arn is not None
    url = clients.queues.get_queue_url(QueueName=arn.resource[0])["QueueUrl"]
    found = clients.queues.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return str(found.get("Attributes", {}).get(name, ""))


def _memory(configured: SubscriberSettings, clients: DoctorClients) -> Memory:
    bucket = configured.bucket
    if bucket is None:
        return Memory()
    try:
        found = read_object(lambda: get_object(clients.s3, bucket, memory_key(configured.origin)))
    except AwsError:
        # The check `filters` reads it too, and says so.
        return Memory()
    return decode_memory(found.body if isinstance(found, ObjectFound) else None)


def _once() -> PacedCalls:
    """Make each call once: there is no time for retries."""
    return PacedCalls(
        clock=lambda: 0.0, sleep=lambda _: None, remaining=lambda: 0.0, jitter=lambda _: 0.0
    )
