"""Finds the buckets with log files that you name: `s3://BUCKET`, beside names of log groups."""

from collections.abc import Iterable

from loki_shipper.cli.errors import InputError
from loki_shipper.subscriber.settings import SubscriberSettings

_SCHEME = "s3://"


def split_names(
    words: Iterable[str], settings: SubscriberSettings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Separate the names of log groups from those of buckets, which keep `s3://`.

    Raises InputError if LogBuckets does not name a bucket.
    """
    listed = {f"{_SCHEME}{each.bucket}" for each in settings.log_buckets}
    names = [*words]
    buckets = tuple(word.removesuffix("/") for word in names if word.startswith(_SCHEME))
    for bucket in buckets:
        if bucket not in listed:
            raise InputError(_not_listed(bucket))
    return tuple(word for word in names if not word.startswith(_SCHEME)), buckets


def _not_listed(word: str) -> str:
    bucket, _, prefix = word.removeprefix(_SCHEME).partition("/")
    if prefix:
        return (
            f"{word} is a part of a bucket: name all of it, {_SCHEME}{bucket}, or change LogBuckets"
        )
    return f"LogBuckets does not name {bucket}: add it there, and deploy"
