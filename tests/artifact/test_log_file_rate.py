"""The short version of scripts/log-file-rate; docs/decisions/log-files.md has its figures."""

from pathlib import Path

from tools.artifact import SamArtifact
from tools.log_file_rate import measure


def test_the_built_function_ships_a_file_with_and_without_rules(
    artifact: SamArtifact, tmp_path: Path
) -> None:
    measured = [*measure(20_000, artifact, tmp_path)]
    assert [each.name for each in measured] == ["loki-shipper", "loki-shipper, RULES=none"]
    assert all(each.is_done and each.pushes > 10 for each in measured)
    assert all(0 < each.peak < 200_000_000 for each in measured)
