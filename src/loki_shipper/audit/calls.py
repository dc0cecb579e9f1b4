"""Makes the effects of an audit of clients of AWS and of a session with Loki."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from loki_shipper.audit.bucket import BucketObject, StoredObjectCalls
from loki_shipper.audit.loki import LokiQueries, LokiReply
from loki_shipper.audit.model import NotRead
from loki_shipper.audit.own_log import InsightsCalls
from loki_shipper.aws.boto import call_boto, get_object
from loki_shipper.aws.objects import ObjectFound, read_object
from loki_shipper.loki_names import FACTS
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.push import connect
from loki_shipper.shipper.delivery.query import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from loki_shipper.aws.arn import Origin
    from loki_shipper.settings import Settings
    from loki_shipper.shipper.delivery.push import LokiAccess

_PARALLEL_READS: Final = 16
"""Objects that are read at the same time, because most of a read is waiting for S3."""

_TIMEOUT: Final = (5.0, 60.0)
"""Seconds to connect to Loki, and to read an answer."""


class CallAws(Protocol):
    """Makes a call of an operation at its rate, with retries. Raises AwsError."""

    def __call__[T](self, operation: str, call: Callable[[], T]) -> T:
        """Make it."""
        ...


def metric_data(cloudwatch: Any, call: CallAws) -> Callable[..., Any]:
    """Give the call of GetMetricData; `cloudwatch` is boto3's client."""
    return partial(_called, "GetMetricData", cloudwatch.get_metric_data, call)


def insights(logs: Any, call: CallAws, sleep: Callable[[float], None]) -> InsightsCalls:
    """Give the calls of Logs Insights; `logs` is boto3's client."""
    return InsightsCalls(
        partial(_called, "StartQuery", logs.start_query, call),
        partial(_called, "GetQueryResults", logs.get_query_results, call),
        sleep,
    )


def _called(operation: str, method: Callable[..., Any], call: CallAws, **arguments: Any) -> Any:
    return call(operation, lambda: call_boto(lambda: method(**arguments)))


def stored_objects(s3: Any, bucket: str, call: CallAws) -> StoredObjectCalls:
    """Give the calls of the bucket; `s3` is boto3's client."""

    def objects(folder: str) -> Iterator[BucketObject]:
        token: dict[str, str] = {}
        while True:
            page = _called(
                "ListObjectsV2", s3.list_objects_v2, call, Bucket=bucket, Prefix=folder, **token
            )
            for each in page.get("Contents", ()):
                yield BucketObject(each["Key"], each["LastModified"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def read(keys: Sequence[str]) -> list[bytes | None]:
        with ThreadPoolExecutor(_PARALLEL_READS) as pool:
            return [*pool.map(body, keys)]

    def body(key: str) -> bytes | None:
        answer = read_object(lambda: get_object(s3, bucket, key))
        return answer.body if isinstance(answer, ObjectFound) else None

    return StoredObjectCalls(objects, read)


def loki_queries(
    access: LokiAccess,
    settings: Settings,
    origin: Origin,
    *,
    now: int,
    sleep: Callable[[float], None],
) -> LokiQueries | NotRead:
    """Give the queries of Loki; NotRead if its lines have no label with their log group.

    `settings` are the shipper's, which name its labels. `now` is in ms since 1970.
    """
    names = dict(settings.builtin_labels)
    if "log_group" not in names:
        return NotRead("not read: BuiltinLabels leaves log_group out")
    values = {"account_id": origin.account, "region": origin.region, "source": "cloudwatch"}
    fixed = tuple((names[key], values[key]) for key in sorted(FACTS & names.keys() & values.keys()))
    session = connect(access)

    def ask(path: str, parameters: Mapping[str, str], tenant: str | None) -> LokiReply | NoAnswer:
        answer = query(session, access.url, path, parameters, tenant=tenant, timeout=_TIMEOUT)
        if isinstance(answer, NoAnswer):
            return answer
        return LokiReply(answer.status_code, answer.content)

    return LokiQueries(ask, sleep, names["log_group"], fixed, now)
