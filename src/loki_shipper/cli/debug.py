"""Shows tracebacks and requests on stderr for `--debug`, without secrets and log lines.

botocore logs whole requests and answers, and errors quote their input. So this module shows only
what is on its lists of harmless messages.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Final, override

_HARMLESS_LOGGERS: Final = {
    "botocore.configprovider",
    "botocore.credentials",
    "botocore.httpsession",
    "botocore.retries.adaptive",
    "botocore.retries.standard",
    "botocore.retryhandler",
    "botocore.tokens",
}
"""Loggers with messages that name only places, times and counts."""

_BY_TEMPLATE: Final = {
    "Making request for %s with params: %s": "%s",
    "Endpoint provider result: %s": "endpoint %s",
    "Starting new HTTP connection (%d): %s:%s": "connection %d to http://%s:%s",
    "Starting new HTTPS connection (%d): %s:%s": "connection %d to https://%s:%s",
}
"""Messages of other loggers, and their templates here, which use only the first values."""

_ANSWERED: Final = '%s://%s:%s "%s %s %s" %s %s'
"""urllib3's message of an answer: scheme, host, port, method, path, version, status, length."""


def show_requests() -> None:
    """Show the requests of botocore and urllib3 on stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    handler.addFilter(lambda record: _shown(record) is not None)
    for name in ("botocore", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)


class _Formatter(logging.Formatter):
    """Formats the harmless part of a record, with its time."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return f"debug: {self.formatTime(record, '%H:%M:%S')} {record.name}: {_shown(record)}"


def _shown(record: logging.LogRecord) -> str | None:
    """Return the harmless part of a record, or None."""
    if record.name in _HARMLESS_LOGGERS:
        return record.getMessage()
    values = record.args if isinstance(record.args, tuple) else ()
    if record.msg == _ANSWERED:
        scheme, host, port, method, path, _, status, _ = values
        # A path may be a secret, such as the path to a container's credentials.
        place = str(path).partition("?")[0] if "/loki/" in str(path) else "/…"
        return f"{method} {scheme}://{host}:{port}{place} {status}"
    template = _BY_TEMPLATE.get(record.msg)
    return None if template is None else template % values[: template.count("%")]


def traceback_of(error: BaseException) -> str:
    """Format the tracebacks of an error and of its causes, the first cause first.

    Messages that may quote a line or a secret are left out.
    """
    return "\n".join(reversed([*_tracebacks(error)]))


def _tracebacks(error: BaseException) -> Iterator[str]:
    following: BaseException | None = error
    while following is not None:
        frames = "".join(traceback.format_tb(following.__traceback__))
        yield f"Traceback (most recent call last):\n{frames}{_named(following)}\n"
        following = following.__cause__ or following.__context__


def _named(error: BaseException) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return f"{name}: {error}" if _is_harmless(error) else name


def _is_harmless(error: BaseException) -> bool:
    """Tell whether an error's message can contain no secret and no log line."""
    module, name = type(error).__module__, type(error).__qualname__
    if module == "botocore.exceptions":
        return name != "ParamValidationError"
    # requests' errors are OSErrors too, and quote headers.
    system = isinstance(error, OSError) and module in {"builtins", "socket", "ssl"}
    return system or module.partition(".")[0] in {"loki_shipper", "click"}
