"""Ships payloads: invokes the shipper with them, or writes them to the bucket of the hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loki_shipper.aws.errors import AwsError
from loki_shipper.shipper.delivery.dead_letters import first_lines_folder, write_dead_letter
from loki_shipper.shipper.sources.event import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from loki_shipper.shipper.delivery.dead_letters import PutObject

type CallLambda = Callable[[Callable[[], tuple[bytes, bool]]], tuple[bytes, bool]]
"""Makes a call of Lambda, with retries. Raises AwsError."""


def invoke_shipper(
    functions: Any, arn: str, event: dict[str, Any], call: CallLambda
) -> dict[str, Any]:
    """Invoke the shipper with an event and give its report, empty if it returns none.

    Lambda keeps no copy of the event if the shipper fails, as the invocation is synchronous.
    Raises AwsError.
    """
    body = json.dumps(event).encode()

    def invoke() -> tuple[bytes, bool]:
        answer = functions.invoke(FunctionName=arn, InvocationType="RequestResponse", Payload=body)
        return answer["Payload"].read(), "FunctionError" in answer

    try:
        answer, failed = call(invoke)
    except AwsError as error:
        if error.kind != "gone":
            raise
        # `gone` would say that the log group does not exist. The function does not.
        raise AwsError("refused", error.code, str(error)) from None
    report = json.loads(answer or b"null") or {}
    if failed:
        raise AwsError("refused", str(report.get("errorType")), str(report.get("errorMessage")))
    if report.get("failure"):
        raise AwsError("refused", "DeliveryError", str(report["failure"]))
    return dict(report)


def write_for_hub(event: dict[str, Any], account: str, put: PutObject) -> dict[str, Any]:
    """Write the payloads of an event to the hub's bucket, and give an empty report.

    The redriver of the hub ships them. The key has the account, which the policy of the bucket
    checks, so the hub knows that the lines are those of this account. Raises what `put` raises.
    """
    for data in records(event):
        folder = first_lines_folder(account)
        write_dead_letter(data, data.log_events, folder=folder, reason="first_lines", put=put)
    return {}
