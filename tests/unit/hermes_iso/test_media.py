"""MEDIA: marks of an answer: which are found, and which files they open."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hermes_iso.media import FILE_BYTES, MOST_FILES, media_of, with_files
from hermes_iso.messages import ChatRef, Outbound
from hermes_iso.profiles import Profile
from hermes_iso_sandbox.confinement import Bind
from tests.support.line import make_agent


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a profile with files in its workspace and cache, and others beside them."""
    home = tmp_path / "home"
    for name, content in {
        "workspace/plot.png": "png",
        "workspace/deep/er/my report.pdf": "pdf",
        "workspace/Makefile": "make",
        "cache/images/a.jpg": "jpg",
        ".agent/image_cache/old.jpg": "old",
        "memories/MEMORY.md": "notes",
        ".env": "SECRET=1",
        "home/x.txt": "x",
    }.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Profile(id="main", home=home, spellings=(str(home), "/srv/spelled"))


@pytest.mark.parametrize(
    ("text", "left", "names"),
    [
        ("Here.\nMEDIA:/workspace/plot.png", "Here.", ["plot.png"]),
        ("MEDIA: /workspace/plot.png", "", ["plot.png"]),
        ("media:/workspace/plot.png and more", "and more", ["plot.png"]),
        ('See MEDIA:"/workspace/plot.png".', "See .", ["plot.png"]),
        ("`MEDIA:/workspace/plot.png`", "`MEDIA:/workspace/plot.png`", []),
        ("MEDIA:`/workspace/plot.png`", "", ["plot.png"]),
        ("'MEDIA:/workspace/plot.png'", "", ["plot.png"]),
        ("(MEDIA:/workspace/plot.png), ok", "(), ok", ["plot.png"]),
        ("MEDIA:/workspace/deep/er/my report.pdf is it", "is it", ["my report.pdf"]),
        ("MEDIA:/workspace/Makefile here", "here", ["Makefile"]),
        ("MEDIA:/workspace/./deep/../plot.png", "", ["plot.png"]),
        ("MEDIA:/hermes/workspace/plot.png", "", ["plot.png"]),
        ("MEDIA:/hermes/cache/images/a.jpg", "", ["a.jpg"]),
        ("MEDIA:/hermes/image_cache/old.jpg", "", ["old.jpg"]),
        ("MEDIA:/srv/spelled/cache/images/a.jpg", "", ["a.jpg"]),
        ("[[audio_as_voice]]\nMEDIA:/workspace/plot.png", "", ["plot.png"]),
        ("a\n\nMEDIA:/workspace/plot.png\n\nMEDIA:/hermes/cache/images/a.jpg\n\nb", "a\n\nb", ["plot.png", "a.jpg"]),
        ("MEDIA:/workspace/plot.png MEDIA:/workspace/plot.png", "", ["plot.png"]),
        ("```\nMEDIA:/workspace/plot.png\n```", "```\nMEDIA:/workspace/plot.png\n```", []),
        ("> MEDIA:/workspace/plot.png", "> MEDIA:/workspace/plot.png", []),
        ('{"result": "MEDIA:/workspace/plot.png"}', '{"result": "MEDIA:/workspace/plot.png"}', []),
        ("MEDIA: none today", "MEDIA: none today", []),
        ("Social MEDIA:", "Social MEDIA:", []),
        ("nothing", "nothing", []),
    ],
)
async def test_marks_become_files(profile: Profile, text: str, left: str, names: list[str]) -> None:
    """What Hermes would send is sent and leaves the text; examples of it stay."""
    media = await media_of(profile, text)
    assert (media.text, [file.name for file in media.files], media.complaints) == (left, names, ())


async def test_file_has_its_bytes_and_type(profile: Profile) -> None:
    """What goes out is what was read, under the file's own name."""
    (file,) = (await media_of(profile, "MEDIA:/workspace/plot.png")).files
    assert (file.name, file.media_type, file.content) == ("plot.png", "image/png", b"png")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/hermes/.env",
        "/hermes/memories/MEMORY.md",
        "/hermes/cache",
        "/workspace",
        "/workspace/../hermes/.env",
        "/workspace/../../etc/passwd",
        "/workspacex/a.png",
        "/home/agent/x.txt",
        "~/x.txt",
        "/srv/spelled/.env",
        "/proc/self/environ",
        "/workspace/missing.png",
        "/workspace/plot.png/x.png",
        "/workspace/deep",
    ],
)
async def test_file_elsewhere_stays_where_it_is(profile: Profile, path: str) -> None:
    """The mark stays in the text, and the complaint names no path of the host."""
    media = await media_of(profile, f"MEDIA:{path}")
    assert (media.text, media.files) == (f"MEDIA:{path}", ())
    (complaint,) = media.complaints
    assert str(profile.home) not in complaint


async def test_no_symlink_is_followed(profile: Profile, tmp_path: Path) -> None:
    """Neither as the file, nor on the way to it, nor in place of a cache that the agent may replace."""
    work = profile.home / "workspace"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    (work / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (work / "way").symlink_to(tmp_path / "outside")
    (work / "inner.png").symlink_to("plot.png")
    (profile.home / ".agent" / "audio_cache").symlink_to(tmp_path / "outside")
    paths = ("/workspace/link.txt", "/workspace/way/secret.txt", "/workspace/inner.png", "/hermes/audio_cache/secret.txt")
    for path in paths:
        media = await media_of(profile, f"MEDIA:{path}")
        assert (media.files, len(media.complaints)) == ((), 1), path


async def test_what_is_no_file_is_refused_without_waiting(profile: Profile) -> None:
    """A FIFO or a directory holds nobody up."""
    os.mkfifo(profile.home / "workspace" / "pipe.png")
    media = await media_of(profile, "MEDIA:/workspace/pipe.png")
    assert "no regular file" in media.complaints[0]


async def test_files_are_bounded(profile: Profile) -> None:
    """In size, all of them together, and in number."""
    work = profile.home / "workspace"
    with (work / "large.bin").open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    assert "too large" in (await media_of(profile, "MEDIA:/workspace/large.bin")).complaints[0]
    with (work / "half.bin").open("wb") as file:
        file.truncate(FILE_BYTES - 1)
    media = await media_of(profile, "MEDIA:/workspace/half.bin\nMEDIA:/workspace/plot.png")
    assert ([file.name for file in media.files], len(media.complaints)) == (["half.bin"], 1)
    for number in range(MOST_FILES + 1):
        (work / f"{number}.txt").write_text("x")
    media = await media_of(profile, "\n".join(f"MEDIA:/workspace/{number}.txt" for number in range(MOST_FILES + 1)))
    assert (len(media.files), len(media.complaints)) == (MOST_FILES, 1)


async def test_configured_directory_is_a_workspace(profile: Profile, tmp_path: Path) -> None:
    """Where turns begin elsewhere, that directory counts at its own path; another one that the agent may write does not."""
    for name in ("project", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    binds = tuple(Bind(str(tmp_path / name), f"/srv/{name}", writable=True) for name in ("project", "other"))
    profile = replace(profile, binds=binds, cwd="/srv/project")
    assert (await media_of(profile, "MEDIA:/srv/project/a.txt")).files[0].content == b"project"
    assert (await media_of(profile, "MEDIA:/srv/other/a.txt")).files == ()


async def test_hostile_text_costs_little(profile: Profile) -> None:
    """A megabyte of marks and quotes is looked at once."""
    for text in ("MEDIA:/workspace/x y " * 50_000, "```\n" * 200_000 + "MEDIA:/a", '{"MEDIA:' * 100_000, "MEDIA:`" * 100_000):
        assert (await media_of(profile, text)).files == ()


async def test_failed_answer_and_agent_that_is_gone_send_nothing(profile: Profile, tmp_path: Path) -> None:
    """Only an answer of an agent that is served has files."""
    outbound = Outbound(ChatRef("telegram", "1"), "MEDIA:/workspace/plot.png", "t", "main", "s")
    agent = make_agent(tmp_path, profile=profile)
    assert [file.name for file in (await with_files(agent, outbound))[1]] == ["plot.png"]
    for who, what in ((None, outbound), (agent, replace(outbound, error="timeout"))):
        assert await with_files(who, what) == (what, ())


@pytest.mark.parametrize(
    "text", ["`a`MEDIA:," * 40_000, ('x:"' + "MEDIA:/ " * 480) * 100, "MEDIA:/. " * 40_000, "MEDIA:/" + ". " * 200_000]
)
async def test_a_text_full_of_marks_costs_no_more_than_one_look(profile: Profile, text: str):
    """An agent writes it: what takes longer than its length says would be the time of all others."""
    before = time.process_time()
    await media_of(profile, text)
    assert time.process_time() - before < 5
