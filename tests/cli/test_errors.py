import sys

import pytest

from loki_shipper.cli.errors import InterruptedRunError


class Half:
    """An object that Ctrl-C interrupted in its `__init__`, as one of http.client may be."""

    def __del__(self) -> None:
        raise AttributeError("fp")


def test_after_ctrl_c_an_object_that_was_not_finished_adds_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    half = Half()
    InterruptedRunError("stopped").show()
    del half
    assert capsys.readouterr().err == "stopped\n"
