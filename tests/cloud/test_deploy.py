"""`loki-shipper deploy` where the real template is made, SAM's transform and all."""

import re

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack
from tools.artifact import SamArtifact


def test_a_stack_is_created_tested_kept_changed_and_deleted(
    cloud: Cloud, built: SamArtifact, loki: Loki | Running, tenant: str
) -> None:
    stack = Stack(cloud, "by-command", "eu-north-1")
    stack.create_log_group("/aws/lambda/checkout")
    shown = stack.command(
        *("deploy", "--yes", "--loki-url", loki.url),
        *("--set", f"LokiTenant={tenant}", "--set", f"Architecture={built.architecture}"),
    )
    assert "created  ShipperFunction" in shown
    assert "Loki gave it back." in shown
    assert stack.filters("/aws/lambda/checkout")
    again = stack.command("deploy", "--yes")
    assert "The stack is up to date." in again
    changed = stack.command("deploy", "--yes", "--set", "MemorySize=512")
    assert re.search(r"MemorySize +256 → 512", changed)
    assert "updated  ShipperFunction" in changed
    gone = stack.command("deploy", "--delete", "--yes")
    assert "The stack is deleted." in gone
    assert not stack.filters("/aws/lambda/checkout")
