"""A day of log groups: the real shipper, redriver and Loki, on the AWS of this machine.

Moto has no metrics of CloudWatch Logs. This puts in those that AWS documents: IncomingLogEvents for
each line that a log group takes in, ForwardedLogEvents for each line that its filter sends. It also
does what Lambda does with an invocation that fails: three attempts, then an object in the bucket.
"""

import io
import json
import uuid
from collections import Counter
from contextlib import redirect_stdout
from datetime import UTC, datetime
from itertools import batched
from typing import Any

import boto3
import pytest
from click.testing import Result

from loki_shipper.local.sample import event_id, invocation_event
from loki_shipper.model import LogData, LogEvent
from loki_shipper.redriver.handler import handle as redrive
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper
from loki_shipper.subscriber import invocation
from loki_shipper.subscriber.handler import handle as handle_subscriber
from tests.local_deployment import NAME, Deployment
from tests.moto_gaps import age_log_group

HOUR_MS = 3_600_000
REDRIVER_LOG = "/aws/lambda/audited-redriver"
RULES = """
[[rule]]
name = "health"
drop = "health check"

[[rule]]
name = "sampled"
groups = ["/ecs/service-1"]
sample = 2
"""


class Context:
    """What Lambda tells the redriver of an invocation."""

    def __init__(self, arn: str) -> None:
        self.invoked_function_arn = arn

    def get_remaining_time_in_millis(self) -> int:
        return 290_000


class Day:
    """The last 24 whole hours of a deployment; hour 0 is the first of them."""

    def __init__(
        self, here: Deployment, loki_url: str, rules: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.here = here
        self.own_logs = (f"/aws/lambda/{here.name}-shipper", REDRIVER_LOG)
        now = int(datetime.now(UTC).timestamp() * 1000)
        self.first = (now - 900_000) // HOUR_MS - 24
        self.environ = {
            "LOKI_URL": loki_url,
            "LOKI_TENANT": "unset",
            "TENANT_TAG": "tenant",
            "RULES": rules,
            "BUCKET": here.bucket,
        }
        for name, value in (here.aws.environ | self.environ).items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()
        self._make_stack()
        self._shipper = Shipper(settings(self.environ), here.shipper)
        self._metrics: Counter[tuple[str, str, int]] = Counter()
        self._logs: list[tuple[str, int, str]] = []
        self._number = 0

    def _make_stack(self) -> None:
        here = self.here
        functions = here.aws.client("lambda")
        role = functions.get_function_configuration(FunctionName=here.shipper)["Role"]
        functions.update_function_configuration(
            FunctionName=here.shipper,
            Environment={"Variables": self.environ},
        )
        self.redriver = here.aws.create_function(f"{here.name}-redriver", lambda _: None)
        functions.update_function_configuration(
            FunctionName=self.redriver, Handler="loki_shipper.redriver.handler.handle"
        )
        handlers = {
            "Subscriber": ("none.none", {**here.environ, "TENANT_TAG": "tenant", "INCLUDE": "*"}),
            "Redriver": ("loki_shipper.redriver.handler.handle", {}),
        }
        resources = {
            name: {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": f"audited-{name.lower()}",
                    "Runtime": "python3.13",
                    "Role": role,
                    "Handler": handler,
                    "Code": {"ZipFile": "none"},
                    "Environment": {"Variables": environ},
                },
            }
            for name, (handler, environ) in handlers.items()
        }
        here.aws.client("cloudformation").create_stack(
            StackName=here.name, TemplateBody=json.dumps({"Resources": resources})
        )
        for name in self.own_logs:
            here.aws.create_log_group(name, {"loki-shipper:own": here.name})
            here.aws.client("logs").create_log_stream(logGroupName=name, logStreamName="s")

    def group(self, name: str, tenant: str) -> None:
        """Make a log group of a tenant that is ten days old, with our filter."""
        self.here.group(name, tenant=tenant)
        age_log_group(name, self.here.aws.region)
        self.here.aws.subscribe(name, self.here.shipper, NAME)

    def log(self, group: str, hour: int, *lines: str, age: int = 0, filtered: bool = True) -> None:
        """Take in lines, `age` hours old, and ship them unless the filter is not there."""
        self._metrics["IncomingLogEvents", group, hour] += len(lines)
        if not filtered:
            return
        self._metrics["ForwardedLogEvents", group, hour] += len(lines)
        event = invocation_event(self._payload(group, hour - age, lines))
        if not any(self._invoke(event, hour) for _ in range(3)):
            self._keep(event, hour)

    def _payload(self, group: str, hour: int, lines: tuple[str, ...]) -> LogData:
        start = (self.first + hour) * HOUR_MS
        self._number += 1
        events = [
            LogEvent(
                event_id(start + place * 1000, start, self._number * 100 + place, 0),
                start + place * 1000 % HOUR_MS,
                line,
            )
            for place, line in enumerate(lines)
        ]
        return LogData("DATA_MESSAGE", "123456789012", group, "stream", events, [NAME])

    def _invoke(self, event: dict[str, Any], hour: int) -> bool:
        with redirect_stdout(io.StringIO()) as log:
            report = self._shipper.ship(event, lambda: 30.0)
        self._write(self.own_logs[0], hour, log.getvalue())
        return report.failure is None

    def _write(self, log_group: str, hour: int, text: str) -> None:
        at = (self.first + hour) * HOUR_MS + HOUR_MS // 2
        self._logs += [(log_group, at, line) for line in text.splitlines()]

    def _keep(self, event: dict[str, Any], hour: int) -> None:
        """Write the event as Lambda does after the last attempt."""
        when = datetime.fromtimestamp((self.first + hour) * 3600, UTC)
        body = {
            "version": "1.0",
            "timestamp": when.isoformat(),
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": event,
            "responseContext": {"functionError": "Unhandled"},
            "responsePayload": {"errorType": "DeliveryError", "errorMessage": "not delivered"},
        }
        key = f"aws/lambda/async/shipper/{when:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        self.here.aws.client("s3").put_object(
            Bucket=self.here.bucket, Key=key, Body=json.dumps(body).encode()
        )

    def keys(self, prefix: str = "") -> list[str]:
        found = self.here.aws.client("s3").list_objects_v2(Bucket=self.here.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", [])]

    def delete(self, key: str) -> None:
        self.here.aws.client("s3").delete_object(Bucket=self.here.bucket, Key=key)

    def redrive(self, hour: int) -> dict[str, Any]:
        """Run the redriver, as the schedule does."""
        with redirect_stdout(io.StringIO()) as log:
            report: dict[str, Any] = redrive({}, Context(self.redriver))
        self._write(REDRIVER_LOG, hour, log.getvalue())
        return report

    def audit(self, *words: str) -> Result:
        """Write metrics and logs, and run the command."""
        self._put_metrics()
        self._put_logs()
        return self.here.run("audit", *words)

    def self_audit(self, monkeypatch: pytest.MonkeyPatch, **environ: str) -> dict[str, Any]:
        """Write metrics and logs, and let the subscriber audit the stack; return its log line."""
        self._put_metrics()
        self._put_logs()
        assert self.here.run("link", "--all").exit_code == 0
        own = {
            **self.here.environ,
            "TENANT_TAG": "tenant",
            "INCLUDE": "*",
            "LOKI_URL": self.environ["LOKI_URL"],
            "SHIPPER_LOGS": self.own_logs[0],
            "REDRIVER_LOGS": self.own_logs[1],
        }
        for name, value in (own | environ).items():
            monkeypatch.setenv(name, value)
        invocation._clients.cache_clear()
        with redirect_stdout(io.StringIO()) as log:
            handle_subscriber({"action": "audit"}, Context(self.here.shipper))
        invocation._clients.cache_clear()
        [line] = log.getvalue().splitlines()
        audited: dict[str, Any] = json.loads(line)
        return audited

    def _put_metrics(self) -> None:
        data = [
            {
                "MetricName": metric,
                "Dimensions": [
                    {"Name": "LogGroupName", "Value": group},
                    *(
                        [
                            {"Name": "DestinationType", "Value": "Lambda"},
                            {"Name": "FilterName", "Value": NAME},
                        ]
                        if metric == "ForwardedLogEvents"
                        else []
                    ),
                ],
                "Timestamp": datetime.fromtimestamp((self.first + hour) * 3600 + 1800, UTC),
                "Value": value,
            }
            for (metric, group, hour), value in self._metrics.items()
        ]
        self._metrics.clear()
        cloudwatch = self.here.aws.client("cloudwatch")
        for some in batched(data, 500):
            cloudwatch.put_metric_data(Namespace="AWS/Logs", MetricData=[*some])

    def _put_logs(self) -> None:
        logs = self.here.aws.client("logs")
        for name in self.own_logs:
            lines = sorted((at, line) for group, at, line in self._logs if group == name)
            for some in batched(lines, 1_000):
                logs.put_log_events(
                    logGroupName=name,
                    logStreamName="s",
                    logEvents=[{"timestamp": at, "message": line} for at, line in some],
                )
        self._logs.clear()
