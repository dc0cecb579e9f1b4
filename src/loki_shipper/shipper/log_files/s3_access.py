"""The server access logs of S3.

- Keys: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html. With partitions by
  date, the key names the account, the Region and the bucket that was asked.
- Lines: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html. A client writes the
  request, the referrer and the user agent, so they may hold any byte.
"""

import re

from loki_shipper.shipper.log_files.log_file_type import REGION, LogFileType, always, matches
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import common_log


def _time_of(line: str) -> int | None:
    begin = line.find("[")
    return common_log(line[begin + 1 : line.find("]", begin)])


S3_ACCESS = LogFileType(
    "s3_access",
    matches(r"\S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] \S+ \S+ [0-9A-Z]+ \S+"),
    always(Layout(_time_of)),
    re.compile(
        rf"(?:(?P<account>\d{{12}})/{REGION}/(?P<resource>[a-z0-9.-]+)/\d{{4}}/\d\d/\d\d/)?"
        r"\d{4}(?:-\d\d){5}-[0-9A-F]{16}$"
    ),
)
