"""What `prove` prints."""

from __future__ import annotations

from hermes_iso.prove.probe import Probe, Result
from hermes_iso.prove.report import as_json, listing, summary, table

ONE = Probe("E01", "env", "look around", "pass")
TWO = Probe("R03", "resource", "take much", "pass", limit="memory")
RESULTS = [Result(ONE, "passed"), Result(ONE, "failed", "it was there"), Result(TWO, "skipped", "memory is not bounded")]


def test_json_counts_and_names_every_probe():
    """The document has exactly the keys that scripts rely on."""
    document = as_json(RESULTS)
    assert {key: document[key] for key in ("passed", "failed", "skipped")} == {"passed": 1, "failed": 1, "skipped": 1}
    assert document["probes"][1] == {
        "id": "E01", "category": "env", "tries": "look around", "verdict": "failed", "evidence": "it was there",
    }  # fmt: skip


def test_json_of_a_self_test_counts_found_as_passed():
    """A probe that is blind is a failure."""
    document = as_json([Result(ONE, "found", "a hole"), Result(TWO, "blind")])
    assert (document["passed"], document["failed"], document["skipped"]) == (1, 1, 0)


def test_table_shows_evidence_of_what_did_not_hold():
    """A line per probe; a failure and a skip say why on the next one."""
    lines = table(RESULTS, colours=False)
    assert [line.split()[0] for line in lines] == ["E01", "E01", "it", "R03", "memory"]
    assert "\x1b" not in "".join(lines)


def test_table_is_coloured_only_when_asked():
    """Green for what held, red for what did not."""
    green, red, *_ = table(RESULTS, colours=True)
    assert "\x1b[32mpassed" in green
    assert "\x1b[31mfailed" in red


def test_summary_counts_in_words():
    """The last line says how many held, got through and were skipped."""
    assert summary(RESULTS, self_test=False) == "3 probes: 1 held, 1 got through, 1 skipped"
    assert summary([Result(ONE, "found")], self_test=True) == "1 probes: 1 found their hole, 0 are blind"


def test_listing_has_a_line_per_probe():
    """Id, category and what it tries."""
    assert listing([ONE]) == ["E01   env       look around"]
