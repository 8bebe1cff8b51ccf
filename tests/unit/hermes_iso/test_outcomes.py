"""Outcomes: a sandbox's failure in the words of a turn."""

from hermes_iso.messages import Usage
from hermes_iso.outcomes import failed, translated
from hermes_iso_sandbox import LimitError, SandboxError


def test_a_limit_is_told_in_its_own_sentence_and_the_host_s_troubles_are_not():
    """Who asked learns which limit was reached; what went wrong on the host is for the log."""
    outcome = failed(translated(LimitError("disk", "The turn was stopped: too much.")), Usage())
    assert (outcome.error, outcome.text, outcome.retry_after) == ("limit", "The turn was stopped: too much.", None)
    assert "/srv/secret" not in str(translated(SandboxError("can't bind /srv/secret")))
