"""The short version of scripts/log-file-rate; docs/decisions/log-files.md has its figures."""

from pathlib import Path

from tools.artifact import SamArtifact
from tools.line_numbers import Arrived
from tools.log_file_rate import measure


def test_the_built_function_ships_a_file_with_and_without_rules(
    artifact: SamArtifact, tmp_path: Path
) -> None:
    measured = [*measure(20_000, artifact, tmp_path)]
    assert [each.name for each in measured] == ["loki-shipper", "loki-shipper, RULES=none"]
    assert all(each.is_done and each.pushes > 10 for each in measured)
    assert all(0 < peak < 200_000_000 for each in measured for peak in each.peaks)


def test_every_line_is_in_loki_once_though_the_function_is_killed_three_times(
    artifact: SamArtifact, tmp_path: Path
) -> None:
    killed, whole = measure(100_000, artifact, tmp_path, kills=3)
    assert (killed.kills, whole.kills) == (3, 0)
    assert killed.is_done
    assert max(killed.peaks) < 200_000_000
    assert killed.arrived is not None
    assert killed.arrived.is_each_once
    # Each kill comes before the first progress is kept.
    assert killed.arrived.same > 30_000
    assert whole.arrived == Arrived(lines=100_000, arrived=100_000, same=0, other=0)
    # The pushes, which take more disk than the file, are not left.
    assert [each.name for each in tmp_path.iterdir()] == ["file.log.gz"]
