"""Finds the log groups that you name: by name, by ARN, or by a pattern such as `/ecs/*`."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from loki_shipper.aws.arn import log_group_name, parse_arn
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.model import LogGroup

_NAME = re.compile(r"[A-Za-z0-9_./#-]{1,512}")
_WILD = re.compile(r"[*?\[]")


def log_groups_named(words: Iterable[str], deployment: Deployment) -> Inventory:
    """Find log groups with their tags; each word may be a name, a pattern, or an ARN.

    Raises InputError if a word names no log group.
    """
    names = dict.fromkeys(name for word in words for name in _names(word, deployment))
    deps = deployment.deps
    inventory = take_inventory(deps.aws, deps.clock.now(), names)
    if inventory.missing:
        raise InputError(
            f"there is no log group {', '.join(inventory.missing)}: check its name and --region"
        )
    return inventory


def log_group_named(word: str, deployment: Deployment) -> LogGroup:
    """Find one log group with its tags, by name or ARN. Raises InputError."""
    if is_pattern(word):
        raise InputError(f"{word} is a pattern: name one log group")
    [group] = log_groups_named([word], deployment).groups
    return group


def is_pattern(word: str) -> bool:
    """Tell whether a word is a pattern: no name contains `*`, `?` or `[`."""
    return not word.startswith("arn:") and _WILD.search(word) is not None


def _names(word: str, deployment: Deployment) -> Iterator[str]:
    if word.startswith("arn:"):
        yield _name_in_arn(word, deployment)
    elif is_pattern(word):
        yield from _matching(word, deployment)
    elif _NAME.fullmatch(word):
        yield word
    else:
        raise InputError(
            f"{word!r} is not the name of a log group: names have letters, digits and . - _ / #"
        )


def _name_in_arn(arn: str, deployment: Deployment) -> str:
    ours = deployment.deps.settings.origin
    name, parsed = log_group_name(arn), parse_arn(arn)
    if name is None or parsed is None:
        raise InputError(f"{arn} is not the ARN of a log group")
    its = parsed.origin
    if (its.region, its.account) != (ours.region, ours.account):
        raise InputError(
            f"{name} is in {its.region} of account {its.account}, and {deployment.name} "
            f"in {ours.region} of {ours.account}: name a deployment in the same place"
        )
    return name


def _matching(pattern: str, deployment: Deployment) -> list[str]:
    prefix = _WILD.split(pattern, maxsplit=1)[0]
    groups = deployment.deps.aws.log_groups(prefix or None)
    names = [group.name for group in groups if fnmatchcase(group.name, pattern)]
    if not names:
        raise InputError(f"no log group matches {pattern}: check the pattern and --region")
    return names
