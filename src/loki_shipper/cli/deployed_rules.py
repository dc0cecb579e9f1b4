"""Reads the rules that a deployed function uses."""

import time
from functools import partial

from loki_shipper.cli.aws import CommandSession
from loki_shipper.cli.errors import InputError
from loki_shipper.settings import Settings
from loki_shipper.shipper.rules.cache import RulesCache
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.model import Rules, RulesError


def deployed_rules(settings: Settings, session: CommandSession | None = None) -> Rules:
    """Read the rules that RULES names, with your credentials if it needs any. Raises InputError."""
    try:
        read = partial(rules_file, session=session)
        return RulesCache(settings.rules, read, clock=time.monotonic, jitter=float)()
    except RulesError as error:
        raise InputError(f"your AWS credentials cannot read the rules: {error}") from None
