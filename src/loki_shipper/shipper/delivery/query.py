"""Sends a query to Loki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loki_shipper.formats import PUSH_PATH
from loki_shipper.lean_requests import requests
from loki_shipper.shipper.delivery.answer import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping


def query(  # noqa: PLR0913 - each is a part of the request
    session: requests.Session,
    push_url: str,
    path: str,
    parameters: Mapping[str, str],
    *,
    tenant: str | None,
    timeout: tuple[float, float],
    headers: Mapping[str, str] | None = None,
) -> requests.Response | NoAnswer:
    """Send a GET request to a path that stands beside the push path, over a session for pushes.

    Without a `tenant`, the one that the secret may set stays. `timeout` has the seconds to connect,
    and to read.
    """
    # The session's type is that of a push.
    sent: dict[str, str | None] = {**(headers or {}), "Content-Type": None}
    if tenant is not None:
        sent["X-Scope-OrgID"] = tenant
    try:
        return session.get(
            push_url.removesuffix(PUSH_PATH) + path,
            params=parameters,
            headers=sent,
            timeout=timeout,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        return NoAnswer(type(error).__name__)
