"""Checks a deployment on Google Cloud: the bucket, the tokens, the subscription and the sink."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from loki_shipper.doctor.finding import Finding, failure, ok, warning
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.storage import CloudStorage, StorageError
from loki_shipper.google.token import CertificatesError

_ACK_DEADLINE: Final = 60
"""Seconds: a push takes up to 30, and the answer comes after it."""

_RETENTION: Final = 7 * 24 * 3600


def check_bucket(storage: CloudStorage | None) -> Finding:
    """Check that the service can write, read and delete objects."""
    if storage is None:
        says = "BUCKET is not set: Pub/Sub keeps what Loki refuses, and sends it for seven days"
        return warning("bucket", says, "set BUCKET to a bucket of Cloud Storage")
    key, body = f"doctor/{uuid.uuid4().hex}", b"{}"
    try:
        storage.put(key, body)
        is_same = storage.get(key) == body
        storage.delete(key)
    except StorageError as error:
        return failure("bucket", str(error), "grant roles/storage.objectUser on the bucket")
    if not is_same:
        return failure("bucket", "an object cannot be read back", "check what changes objects")
    return ok("bucket", f"{storage.bucket} takes objects")


def check_tokens(google: GoogleSettings, read: Callable[[], Mapping[str, str]]) -> Finding:
    """Check that tokens are verified, and that Google's certificates can be read."""
    if not google.verify_pushes:
        advice = "set VERIFY_PUSHES=on unless this is the emulator"
        return warning("token", "anybody who reaches the service can push lines", advice)
    try:
        read()
    except CertificatesError as error:
        says = f"the certificates of Google cannot be read: {error}"
        return failure("token", says, "let the service reach www.googleapis.com")
    return ok("token", f"verified for {google.push_service_account}")


def check_subscription(found: Any, google: GoogleSettings) -> Iterator[Finding]:
    """Check a subscription as Pub/Sub describes it."""
    match found:
        case {"pushConfig": {"pushEndpoint": str(endpoint), **push}}:
            yield ok("push", f"Pub/Sub posts to {endpoint}")
        case _:
            advice = "create it with a push endpoint: the service's URL"
            yield failure("push", "the subscription pushes to nowhere", advice)
            return
    yield _token(push.get("oidcToken", {}), google)
    if "noWrapper" in push:
        yield failure("wrapper", "messages come without their envelope", "turn off noWrapper")
    deadline = found.get("ackDeadlineSeconds", 10)
    if deadline < _ACK_DEADLINE:
        says = f"Pub/Sub waits {deadline} s for an answer, and then sends the entry again"
        yield failure("deadline", says, f"set the acknowledgement deadline to {_ACK_DEADLINE} s")
    else:
        yield ok("deadline", f"Pub/Sub waits {deadline} s for an answer")
    if "deadLetterPolicy" in found:
        says = "after some tries, Pub/Sub moves entries to a dead-letter topic, also in an outage"
        yield warning("deadletter", says, "remove it: the service keeps what Loki refuses")
    retention = float(str(found.get("messageRetentionDuration", f"{_RETENTION}s")).rstrip("s"))
    if retention < _RETENTION:
        says = f"an outage may last {retention / 3600:.0f} hours until lines are lost"
        yield warning("retention", says, "set the message retention to 7 days")
    else:
        yield ok("retention", "entries wait up to 7 days")
    if "retryPolicy" not in found:
        says = "Pub/Sub sends refused entries again at once"
        yield warning("retry", says, "set a retry policy of 10 to 600 seconds")


def _token(token: Any, google: GoogleSettings) -> Finding:
    if not google.verify_pushes:
        return ok("oidc", "not needed (VERIFY_PUSHES=off)")
    email = token.get("serviceAccountEmail")
    if email != google.push_service_account:
        says = f"Pub/Sub signs as {email or 'nobody'}, not as {google.push_service_account}"
        return failure("oidc", says, "correct PUSH_SERVICE_ACCOUNT, or the subscription's account")
    audience = token.get("audience")
    if audience != google.push_audience:
        says = f"the token is for {audience or 'the endpoint'}, not for {google.push_audience}"
        return failure("oidc", says, "correct PUSH_AUDIENCE, or the subscription's audience")
    return ok("oidc", "the subscription's token is the expected one")


def check_sink(found: Any, service: str) -> Finding:
    """Check that a log sink, as Cloud Logging describes it, leaves out the service's own log."""
    texts = [str(found.get("filter", ""))]
    texts += [str(each.get("filter", "")) for each in found.get("exclusions", [])]
    if any(service in text for text in texts):
        return ok("sink", f"it leaves out the log of {service}")
    says = f"it does not leave out the log of {service}: Pub/Sub posts it, and the service drops it"
    return warning("sink", says, f'exclude resource.labels.service_name="{service}"')
