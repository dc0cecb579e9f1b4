"""Names the service of a log group by the log group's name."""

import re

_NAMES = re.compile(
    r"/aws/rds/(?:instance|cluster)/(?P<database>[^/]+)/"
    r"|/aws/eks/(?P<cluster>[^/]+)/cluster$"
    r"|/aws/vendedlogs/s3/(?P<bucket>[^/]+)/S3_SERVER_ACCESS_LOGS$"
    r"|/aws/vendedlogs/elasticloadbalancing/(?P<balancer>[^/]+)/[AN]LB_[A-Z_]+_LOGS$"
    r"|API-Gateway-Execution-Logs_(?P<api>[^/]+)/"
)


def service_of_group(log_group: str) -> str:
    """Return the part of a log group's name that names what writes to it.

    AWS ends some names with the kind of log: `/aws/rds/instance/orders-db/error` is of `orders-db`.
    For all others it is the part after the last `/`.
    """
    found = _NAMES.match(log_group)
    if found is not None:
        return str(found[found.lastindex or 0])
    return log_group.rstrip("/").rpartition("/")[2]
