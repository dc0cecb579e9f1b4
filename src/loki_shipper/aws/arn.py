"""Amazon Resource Names: one parser, and the ARNs that Loki-Shipper writes.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from msgspec import Struct


class Origin(Struct, frozen=True):
    """A partition, Region and account: the place of a function and its log groups."""

    partition: str
    region: str
    account: str


class Arn(Struct, frozen=True):
    """An ARN; `resource` is the part after the account, split at colons.

    The ARN of a bucket has an empty Region and account.
    """

    origin: Origin
    service: str
    resource: tuple[str, ...]

    def __str__(self) -> str:
        """Write the ARN."""
        where = self.origin
        parts = ("arn", where.partition, self.service, where.region, where.account, *self.resource)
        return ":".join(parts)


def parse_arn(text: str) -> Arn | None:
    """Read an ARN; None if the text is not one."""
    match text.split(":"):
        case ["arn", partition, service, region, account, *resource] if resource:
            return Arn(Origin(partition, region, account), service, tuple(resource))
        case _:
            return None


def function_arn(origin: Origin, name: str) -> str:
    """Give the ARN of a Lambda function, without a version or alias."""
    return str(Arn(origin, "lambda", ("function", name)))


def function_name(arn: str) -> str | None:
    """Give the name in the ARN of a function, version or alias; None for other ARNs."""
    match parse_arn(arn):
        case Arn(service="lambda", resource=("function", name, *_)):
            return name
        case _:
            return None


def function_origin(arn: str) -> Origin | None:
    """Give the place of a function from its ARN; None for other ARNs."""
    match parse_arn(arn):
        case Arn(service="lambda", origin=origin):
            return origin
        case _:
            return None


def log_group_arn(origin: Origin, name: str) -> str:
    """Give the ARN of a log group, without `:*`, as the calls for tags take it."""
    return str(Arn(origin, "logs", ("log-group", name)))


def log_group_name(arn: str) -> str | None:
    """Give the name in the ARN of a log group, with or without `:*`; None for other ARNs."""
    match parse_arn(arn):
        case Arn(service="logs", resource=("log-group", name, *_)):
            return name
        case _:
            return None
