"""Exit codes and the one sentence for each error."""

from __future__ import annotations

import pytest

from hermes_iso import errors
from hermes_iso.cli.exits import exit_code, report
from hermes_iso_sandbox import errors as sandbox_errors

BROKEN = errors.ConfigError([errors.Problem("c.yaml", 1, "a", "x"), errors.Problem("c.yaml", 2, "b", "y")])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("u"), 2),
        (errors.HomeBusyError("b", 7), 2),
        (errors.RouteRejectedError("r"), 2),
        (BROKEN, 2),
        (errors.UnsupportedError("n"), 3),
        (sandbox_errors.UnsupportedSandboxError("n"), 3),
        (sandbox_errors.GuestTimeoutError("t"), 124),
        (sandbox_errors.GuestDiedError("d"), 1),
        (errors.DrainingError("d"), 1),
        (errors.TurnError("timeout", "t"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("?"), 70),
    ],
)
def test_error_has_its_exit_code(error, code, capsys):
    """Each error is one code, also when a nursery wrapped it."""
    assert exit_code(error) == code
    assert report(BaseExceptionGroup("nursery", [BaseExceptionGroup("inner", [error])])) == code
    assert "Traceback" not in capsys.readouterr().err


def test_config_errors_are_printed_as_they_stand(capsys):
    """Each problem is one line that starts with its file, as editors expect."""
    report(BROKEN)
    assert capsys.readouterr().err == "c.yaml:1: a: x\nc.yaml:2: b: y\n"


def test_fault_hides_its_traceback_unless_asked(monkeypatch, capsys):
    """A fault of ours is one sentence with its type; the traceback comes with HERMES_ISO_DEBUG=1 alone."""
    monkeypatch.delenv("HERMES_ISO_DEBUG", raising=False)
    assert report(ZeroDivisionError("by\nzero")) == 70
    shown = capsys.readouterr().err
    assert shown == "hermes-iso: unexpected ZeroDivisionError: by zero (HERMES_ISO_DEBUG=1 shows where)\n"
    monkeypatch.setenv("HERMES_ISO_DEBUG", "1")
    report(ZeroDivisionError("by zero"))
    assert "ZeroDivisionError: by zero" in capsys.readouterr().err.splitlines()[-1]


def test_unexpected_error_is_not_hidden_by_an_expected_one(capsys):
    """Of several errors the fault is told, because nobody else would tell it."""
    assert report(ExceptionGroup("both", [errors.UsageError("u"), KeyError("k")])) == 70
    assert "KeyError" in capsys.readouterr().err
