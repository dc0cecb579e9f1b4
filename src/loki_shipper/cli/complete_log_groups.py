"""Completes names of log groups in the shell: AWS has two seconds, and errors stay silent."""

import threading
from typing import Any, Final

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from loki_shipper.cli.aws import open_session

_SECONDS: Final = 2.0
_LIMIT: Final = 50


def complete_log_groups(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """List log groups by the begin of their names; none if AWS does not answer in time."""
    found: list[str] = []
    region = ctx.params.get("region")
    request = threading.Thread(
        target=_list, args=(ctx.params.get("profile"), region, incomplete, found), daemon=True
    )
    request.start()
    # To find credentials, botocore may ask for input, or wait for a server that does not answer.
    request.join(_SECONDS)
    return [*found]


def _list(profile: str | None, region: str | None, prefix: str, found: list[str]) -> None:
    config = Config(connect_timeout=1, read_timeout=_SECONDS, retries={"total_max_attempts": 1})
    prefixed: dict[str, Any] = {"logGroupNamePrefix": prefix} if prefix else {}
    try:
        session = open_session(profile, region)
        answer = session.client("logs", config=config).describe_log_groups(limit=_LIMIT, **prefixed)
        found += [group["logGroupName"] for group in answer["logGroups"]]
    except (BotoCoreError, ClientError, ResponseParserError, KeyError):
        return
