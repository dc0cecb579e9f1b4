"""Reads the name of an object, or of the beginning of keys: `s3://BUCKET/KEY`."""

import click

SCHEME = "s3://"


def object_name(name: str) -> tuple[str, str]:
    """Return the bucket and the key of `s3://BUCKET/KEY`. Raises UsageError."""
    bucket, _, key = name.removeprefix(SCHEME).partition("/")
    if not (name.startswith(SCHEME) and bucket and key):
        raise click.UsageError(f"{name!r} is no object: write it like {SCHEME}my-logs/app/app.log")
    return bucket, key
