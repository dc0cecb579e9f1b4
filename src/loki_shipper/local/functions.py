"""The two functions of the demo: one logs in Lambda's text format, one in its JSON format."""

import logging
from typing import Any

_LOGGER = logging.getLogger()
_GOODS = ("an apple", "two pears", "three plums")
_SLOW_EVERY = 4


def fun_checkout(event: dict[str, Any], _context: object) -> None:
    """Take an order; `event` is `{"number": n}`."""
    _LOGGER.setLevel(logging.INFO)
    number = event["number"]
    _LOGGER.info("order %d: %s", 1000 + number, _GOODS[number % len(_GOODS)])
    if number % _SLOW_EVERY == 0:
        _LOGGER.warning("order %d: the bank took %d ms", 1000 + number, 800 + number)
    _LOGGER.info("order %d: paid", 1000 + number)


def fun_report(event: dict[str, Any], _context: object) -> None:
    """Write a page of a report; `event` is `{"number": n}`."""
    _LOGGER.setLevel(logging.INFO)
    number = event["number"]
    _LOGGER.info("page written", extra={"page": number, "rows": 40 + number % 7})
