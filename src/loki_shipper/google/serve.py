"""Runs the service: settings, connections, the server, and its end.

Cloud Run sends SIGTERM ten seconds before it ends an instance. From then on the server takes no
connections, and pushes have a few seconds: what Loki has not taken by then is answered 503, and
Pub/Sub sends it to another instance.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Final, NoReturn, override

import uvicorn

from loki_shipper.environment import SettingsError
from loki_shipper.google.app import PushApp
from loki_shipper.google.gather import Gatherer
from loki_shipper.google.log import CloudLog
from loki_shipper.google.rules_file import google_rules_file
from loki_shipper.google.service import GoogleEffects, keep_aside, shipping
from loki_shipper.google.settings import GoogleSettings, google_settings
from loki_shipper.google.ship import GoogleDependencies, MapStreams
from loki_shipper.google.storage import StorageError, open_storage
from loki_shipper.google.token import TokenVerifier, read_certificates
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.push import LokiAccess
from loki_shipper.shipper.delivery.session import LokiSession
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.cache import RulesCache

PORT: Final = 8080

_PUSHES: Final = 4
_STREAMS: Final = 8
"""Threads that ship gathered entries, and that push streams of them."""

_SECONDS: Final = 30.0
_SECONDS_TO_STOP: Final = 5.0
_SECONDS_TO_GIVE_UP: Final = 6.0
_SECONDS_TO_ANSWER: Final = 8
"""Seconds for a push, and after SIGTERM: for pushes, until a push that hangs is given up, and for
all answers."""

_KEEP_ALIVE: Final = 75


class GoogleServer(uvicorn.Server):
    """A server that calls `on_stop` at the first signal that ends it."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


class Deadline:
    """The end of pushes: so many seconds after their begin, or soon after a signal."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stop_at = float("inf")

    def stop(self) -> None:
        """Give pushes a few seconds from now on."""
        self._stop_at = min(self._stop_at, self._clock() + _SECONDS_TO_STOP)

    def push(self) -> Callable[[], float]:
        """Return a function that gives the seconds that are left of a push that begins now."""
        end = self._clock() + _SECONDS
        return lambda: min(end, self._stop_at) - self._clock()


def serve(environ: Mapping[str, str]) -> None:
    """Serve push requests until a signal comes. Raises SettingsError and StorageError.

    A thread may then still wait for a Loki that hangs; nobody waits for its result.
    """
    configured, google = google_settings(environ)
    log = CloudLog(configured.log_level, time.monotonic, time.time)
    storage = None if configured.bucket is None else open_storage(configured.bucket, environ)
    deadline = Deadline(time.monotonic)
    streams, pushes = ThreadPoolExecutor(_STREAMS, "stream"), ThreadPoolExecutor(_PUSHES, "push")
    session = _session(configured)
    if not session.is_private:
        warning = "credentials travel over http, unencrypted: use an https LOKI_URL"
        log.write("WARNING", warning, {})
    effects = GoogleEffects(
        _dependencies(configured, google, session, deadline, streams.map),
        None if storage is None else storage.put,
        log,
    )
    gatherer = Gatherer(shipping(effects), pushes)

    def stop() -> None:
        deadline.stop()
        gatherer.give_up_in(_SECONDS_TO_GIVE_UP)

    verifier = TokenVerifier(google, read_certificates, time.time) if google.verify_pushes else None
    app = PushApp(
        gatherer,
        partial(keep_aside, effects=effects),
        verifier,
        partial(log.write_seldom, "WARNING"),
    )
    config = uvicorn.Config(
        app,
        host="0.0.0.0",  # noqa: S104 - Cloud Run's proxy comes from outside of the container
        port=int(environ.get("PORT", PORT)),
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_SECONDS_TO_ANSWER,
    )
    log.write("INFO", "serving", {"port": config.port})
    try:
        GoogleServer(config, stop).run()
    finally:
        log.write_sum()
        for threads in (pushes, streams):
            threads.shutdown(wait=False, cancel_futures=True)


def one_push(environ: Mapping[str, str]) -> Callable[[], GoogleDependencies]:
    """Return a function that gives the effects of one push. Raises SettingsError."""
    configured, google = google_settings(environ)
    session = _session(configured)
    return _dependencies(configured, google, session, Deadline(time.monotonic), map)


def main() -> NoReturn:
    """Serve with the settings of the environment, and end with 2 if they cannot be used."""
    # uvicorn raises the signal again once it has answered all requests.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    code = 0
    try:
        serve(os.environ)
    except (SettingsError, StorageError) as error:
        CloudLog("INFO", time.monotonic, time.time).write("CRITICAL", str(error), {})
        code = 2
    except (SystemExit, KeyboardInterrupt):
        pass
    sys.stdout.flush()
    # Python would wait for a thread that waits for a Loki that hangs.
    os._exit(code)


def _session(configured: Settings) -> LokiSession:
    return LokiSession(partial(_access, configured), time.monotonic, connections=_STREAMS)


def _dependencies(
    configured: Settings,
    google: GoogleSettings,
    session: LokiSession,
    deadline: Deadline,
    map_streams: MapStreams,
) -> Callable[[], GoogleDependencies]:
    rules = RulesCache(configured.rules, google_rules_file, clock=time.monotonic, jitter=_jitter)
    label_values: dict[tuple[str, str], set[str]] = {}
    without_metadata: set[str | None] = set()

    def dependencies() -> GoogleDependencies:
        remaining = deadline.push()
        delivery = DeliveryEffects(
            send=lambda batch: session.send(batch, seconds=remaining()),
            remaining=remaining,
            now=time.time_ns,
            sleep=time.sleep,
            jitter=_jitter,
            renew=session.renew,
            tenants_without_metadata=without_metadata,
            late_minutes=configured.late_stream_minutes,
        )
        state = RuleState(rules(), label_values)
        return GoogleDependencies(configured, google, state, delivery, map_streams)

    return dependencies


def _access(configured: Settings, *, fresh: bool) -> LokiAccess:
    # The environment of an instance never changes.
    del fresh
    return credentials(configured, _no_secret)


def _no_secret(reference: str) -> str:
    del reference
    raise SettingsError(
        "LOKI_SECRET and names of certificates are of AWS: let Secret Manager set LOKI_TOKEN, or "
        "LOKI_USERNAME and LOKI_PASSWORD"
    )


def _jitter(longest: float) -> float:
    return random.uniform(0, longest)  # noqa: S311 - it spreads load and keeps no secret
