"""How far one invocation has come with a log file, and how it ended."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from loki_shipper.formats import LogBucket
from loki_shipper.model import S3Object
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.log_files.effects import FileProgress, ProgressStore


class LogFileRun:
    """A log file in an invocation.

    `result` is a word for the report once the file is read. `waits_for` is the reason why the file
    comes again, and `crash` the type of an unexpected exception. `may_have_begun`: an earlier
    invocation may have shipped a part of the file.
    """

    def __init__(self, found: S3Object, *, may_have_begun: bool = False) -> None:
        self.found = found
        self.result: str | None = None
        self.waits_for: str | None = None
        self.crash: str | None = None
        self.start = FileProgress()
        self._may_have_begun = may_have_begun
        self._done = FileProgress()
        self._kept = FileProgress()
        self._store: ProgressStore | None = None
        self._name = ""
        self._unkept_bytes = 0

    def begin(self, found: S3Object, store: ProgressStore) -> None:
        """Take the progress of an earlier invocation; `found` has the ETag that S3 tells."""
        self._store, self._name = store, _name(found)
        if self._may_have_begun:
            self.start = self._done = self._kept = store.read(self._name)

    def advance(self, done: FileProgress, size: int, *, keep_every: int) -> None:
        """Note that a part of so many bytes is done. Raises DeadLetterError."""
        self._done = done
        self._unkept_bytes += size
        if self.result is None and self._unkept_bytes >= keep_every:
            self._keep()

    def end(self) -> None:
        """Keep the progress of a file that comes again, else delete it. Raises DeadLetterError."""
        if self._store is None:
            return
        if self.waits_for is not None:
            self._keep()
        elif self._kept.lines and self.crash is None:
            self._store.delete(self._name)

    @property
    def comes_again(self) -> bool:
        """Tell whether the file is not done."""
        return self.waits_for is not None or self.crash is not None

    @property
    def has_advanced(self) -> bool:
        """Tell whether the file is done, or less of it is left than before."""
        return not self.comes_again or self._done != self.start

    @property
    def has_begun(self) -> bool:
        """Tell whether this invocation has read some of the file."""
        return self._store is not None

    def _keep(self) -> None:
        if self._store is not None and self._done != self._kept:
            self._store.write(self._name, self._done)
            self._kept = self._done
            self._unkept_bytes = 0


def _name(found: S3Object) -> str:
    """Give the name of an object's progress: the same object always has the same one."""
    text = "\0".join((found.bucket, found.key, found.etag or found.version or ""))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def bucket_of(found: S3Object, buckets: Sequence[LogBucket]) -> LogBucket | None:
    """Give the entry of LogBuckets with the longest prefix of an object's key, if there is one."""
    matching = (
        each
        for each in buckets
        if each.bucket == found.bucket and found.key.startswith(each.prefix)
    )
    return max(matching, key=lambda each: len(each.prefix), default=None)


def counted(files: Sequence[LogFileRun]) -> dict[str, int]:
    """Count log files by what became of them.

    `continued` had no more time, and `waiting` come again for other reasons.
    """
    return dict(Counter(map(_word, files)))


def _word(file: LogFileRun) -> str:
    if file.crash is not None:
        return "crashed"
    if file.waits_for is not None:
        return "continued" if file.waits_for == OUT_OF_TIME else "waiting"
    return file.result or "shipped"


def failures(files: Sequence[LogFileRun]) -> str | None:
    """Say which log files come again other than for lack of time, and why; None if none does."""
    waiting: dict[str, list[str]] = {}
    for file in files:
        reason = file.crash or file.waits_for
        if reason is not None and reason != OUT_OF_TIME:
            waiting.setdefault(reason, []).append(f"s3://{file.found.bucket}/{file.found.key}")
    return "; ".join(_sentence(reason, names) for reason, names in waiting.items()) or None


def _sentence(reason: str, names: list[str]) -> str:
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{others}: {reason}"
