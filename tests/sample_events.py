"""The sample events of CloudWatch Logs: `events/` also has samples of other sources."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parent.parent / "events"


def _is_of_log_groups(event: Any) -> bool:
    match event:
        case {"awslogs": _} | {"Records": [{"kinesis": _}, *_]}:
            return True
        case _:
            return False


LOG_GROUP_EVENTS = {
    path.stem: path
    for path in sorted(_FOLDER.glob("*.json"))
    if _is_of_log_groups(json.loads(path.read_bytes()))
}
"""By name."""
