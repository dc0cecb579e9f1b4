"""Checks the connection to Loki: its name, its port, its certificate."""

from collections.abc import Iterator

from loki_shipper.doctor.finding import Finding, failure, ok, warning
from loki_shipper.doctor.probe import LokiProbe, UnreachableError

_DAY = 86_400.0
_DAYS_TO_RENEW = 14


def check_connection(probe: LokiProbe) -> Iterator[Finding]:
    """Check the name, the port and, for https, the certificate."""
    yield _dns(probe)
    yield _tcp(probe)
    if probe.target.tls:
        yield _tls(probe)


def _dns(probe: LokiProbe) -> Finding:
    host = probe.target.host
    try:
        addresses = probe.resolve()
    except UnreachableError:
        advice = "correct LOKI_URL, or the DNS of this machine"
        return failure("dns", f"DNS does not know {host}", advice)
    proxy = " (a proxy)" if probe.target.proxied else ""
    return ok("dns", f"{host}{proxy} is {', '.join(addresses[:3])}")


def _tcp(probe: LokiProbe) -> Finding:
    address = f"{probe.target.host}:{probe.target.port}"
    try:
        probe.reach()
    except UnreachableError as error:
        return _no_connection(address, error)
    return ok("tcp", f"{address} accepts connections")


def _no_connection(address: str, error: UnreachableError) -> Finding:
    match error.kind:
        case "refused":
            advice = "correct the port in LOKI_URL (Loki's own is 3100, a gateway's 80 or 443)"
            return failure("tcp", f"nothing listens at {address}", f"{advice}, or start Loki")
        case "silent":
            advice = "let this machine through the firewall or security group, or correct LOKI_URL"
            return failure("tcp", f"{address} does not answer at all", advice)
        case _:
            return failure("tcp", f"{address} is unreachable: {error}", "check the route to it")


def _tls(probe: LokiProbe) -> Finding:
    try:
        expires = probe.shake_hands()
    except UnreachableError as error:
        return _no_tls(probe.target.host, error)
    days = None if expires is None else (expires - probe.clock()) / _DAY
    if days is not None and days < _DAYS_TO_RENEW:
        return warning("tls", f"the certificate expires in {days:.0f} days", "renew it")
    return ok("tls", "the certificate is trusted")


def _no_tls(host: str, error: UnreachableError) -> Finding:
    match error.kind:
        case "no_tls":
            says = f"{host} does not speak TLS at this port"
            return failure("tls", says, "write http:// in LOKI_URL")
        case "certificate":
            advice = "name its authority in LOKI_CA_CERT, or use a host name of the certificate"
            return failure("tls", f"the certificate is not trusted: {error}", advice)
        case _:
            advice = "if Loki asks for a client certificate, set LOKI_CLIENT_CERT and its key"
            return failure("tls", f"TLS fails: {error}", advice)
