"""What `--debug` adds on stderr: tracebacks, and requests by name, without secrets or log lines.

botocore logs whole requests and answers, and errors quote what they could not use. So everything
here is an allow-list: what is not known to be harmless is left out.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Final, override

_WHOLE: Final = {
    "botocore.configprovider",
    "botocore.credentials",
    "botocore.httpsession",
    "botocore.retries.adaptive",
    "botocore.retries.standard",
    "botocore.retryhandler",
    "botocore.tokens",
}
"""Loggers whose messages name places, times and counts only."""

_BY_TEMPLATE: Final = {
    "Making request for %s with params: %s": "%s",
    "Endpoint provider result: %s": "endpoint %s",
    "Starting new HTTP connection (%d): %s:%s": "connection %d to http://%s:%s",
    "Starting new HTTPS connection (%d): %s:%s": "connection %d to https://%s:%s",
}
"""Messages of other loggers, and as which they are shown; of the values, as many as it takes."""

_ANSWERED: Final = '%s://%s:%s "%s %s %s" %s %s'
"""urllib3's message of an answer: scheme, host, port, method, path, version, status, length."""


def show_requests() -> None:
    """Show on stderr what botocore and urllib3 do, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    handler.addFilter(lambda record: _shown(record) is not None)
    for name in ("botocore", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)


class _Formatter(logging.Formatter):
    """Writes what may be shown of a record, with the time in UTC."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return f"debug: {self.formatTime(record, '%H:%M:%S')} {record.name}: {_shown(record)}"


def _shown(record: logging.LogRecord) -> str | None:
    """Give what may be shown of a record; None: nothing."""
    if record.name in _WHOLE:
        return record.getMessage()
    values = record.args if isinstance(record.args, tuple) else ()
    if record.msg == _ANSWERED:
        scheme, host, port, method, path, _, status, _ = values
        # A path may be a secret by itself, as that of a container's credentials is.
        place = str(path).partition("?")[0] if "/loki/" in str(path) else "/…"
        return f"{method} {scheme}://{host}:{port}{place} {status}"
    template = _BY_TEMPLATE.get(record.msg)
    return None if template is None else template % values[: template.count("%")]


def traceback_of(error: BaseException) -> str:
    """Write an error's traceback, and those of the errors that it came from, the first one first.

    Messages are left out where they may quote what was being handled.
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
    """Tell whether an error's message quotes no secret and no log line."""
    module, name = type(error).__module__, type(error).__qualname__
    if module == "botocore.exceptions":
        return name != "ParamValidationError"
    # requests' errors are OSErrors too, and quote headers.
    system = isinstance(error, OSError) and module in {"builtins", "socket", "ssl"}
    return system or module.partition(".")[0] in {"loki_shipper", "click"}
