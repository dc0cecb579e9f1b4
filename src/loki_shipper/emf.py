"""The metrics of a function, written to its log in CloudWatch's embedded metric format."""

from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics

NAMESPACE: Final = "LokiShipper"


def function_metrics(service: str, stack: str | None) -> EphemeralMetrics:
    """Make the metrics of a function of a stack; their dimensions are `service` and `stack`.

    Without a stack there is no such dimension, as CloudWatch takes no empty value.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=service)
    if stack is not None:
        metrics.set_default_dimensions(stack=stack)
    return metrics
