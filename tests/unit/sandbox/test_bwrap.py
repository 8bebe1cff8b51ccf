"""bwrap's arguments are a pure function of the confinement; what they say about a few decisions that must not drift."""

from dataclasses import replace
from pathlib import Path

from hermes_iso_sandbox import Bind, Confinement, DataFile
from hermes_iso_sandbox.bwrap import System, is_fresh, plan, plan_template
from hermes_iso_sandbox.keeper import FIRST_FD

SYSTEM = System((("bin", "usr/bin"),), ("lib64",), ("ssl/certs",), "/usr/bin/python3.11")
HOME = Path("/srv/home")


def pairs(words: tuple[str, ...], option: str, count: int) -> list[tuple[str, ...]]:
    """Return the operands of every occurrence of an option."""
    return [tuple(words[n + 1 : n + 1 + count]) for n, word in enumerate(words) if word == option]


def test_plan_unshares_every_namespace_and_clears_the_environment() -> None:
    """Nothing of the host's namespaces or environment is kept."""
    words = set(plan(Confinement(HOME), SYSTEM).arguments)
    wanted = {f"--unshare-{name}" for name in ("user", "pid", "net", "ipc", "uts", "cgroup")}
    assert wanted | {"--clearenv", "--die-with-parent", "--new-session", "--as-pid-1"} <= words


def test_layer_is_left_out_only_where_it_is_named() -> None:
    """The self-test's sandboxes lack what they name and nothing else; no other sandbox lacks anything."""
    whole = plan(Confinement(HOME), SYSTEM).arguments
    for layer, without, shown in (
        ("net", "--unshare-net", ()),
        ("ipc", "--unshare-ipc", ()),
        ("tmp", "", ("/tmp", "/dev/shm")),
    ):
        words = plan(Confinement(HOME, without=frozenset({layer})), SYSTEM).arguments
        assert set(whole) - set(words) == {without} - {""}
        places = {place for place, _ in pairs(words, "--dev-bind", 2)} - {place for place, _ in pairs(whole, "--dev-bind", 2)}
        assert places == set(shown)
    assert plan(Confinement(HOME, without=frozenset({"seccomp"})), SYSTEM).arguments == whole
    assert Confinement(HOME).without == frozenset()


def test_plan_makes_no_second_user_namespace() -> None:
    """--dev and --disable-userns would put the zygote into a namespace that turns can't enter again."""
    assert not {"--dev", "--disable-userns"} & set(plan(Confinement(HOME), SYSTEM).arguments)


def test_plan_binds_only_what_the_confinement_names_writable() -> None:
    """Every writable bind is one that the confinement asked for."""
    binds = (Bind("/srv/home/memories", "/hermes/memories", writable=True), Bind("/srv/data", "/srv/data"))
    words = plan(Confinement(HOME, binds=binds), SYSTEM).arguments
    assert pairs(words, "--bind", 2) == [("/srv/home/memories", "/hermes/memories")]
    assert ("/srv/data", "/srv/data") in pairs(words, "--ro-bind", 2)


def test_plan_stages_what_lies_below_directories_that_each_turn_mounts_afresh() -> None:
    """A bind or symlink below /tmp is left for the turn, which mounts /tmp first."""
    confinement = Confinement(HOME, binds=(Bind("/x", "/tmp/work", writable=True),), symlinks=(("/tmp/home", "/hermes"),))
    steps = plan(confinement, SYSTEM)
    assert steps.staged == (("/.staged/0", "/tmp/work"),)
    assert steps.late_symlinks == (("/tmp/home", "/hermes"),)
    assert pairs(steps.arguments, "--bind", 2) == [("/x", "/.staged/0")]


def test_plan_sizes_every_file_system_of_its_own() -> None:
    """No tmpfs is without a bound."""
    words = plan(Confinement(HOME), SYSTEM).arguments
    for place, word in enumerate(words):
        if word == "--tmpfs":
            assert words[place - 2] == "--size"


def test_plan_keeps_generated_content_out_of_the_arguments() -> None:
    """File contents travel through descriptors: argv is public."""
    confinement = Confinement(HOME, files=(DataFile("/hermes/.env", b"TOKEN=s3cret"),))
    steps = plan(confinement, SYSTEM)
    assert "s3cret" not in "".join(steps.arguments)
    place = steps.contents.index(b"TOKEN=s3cret")
    assert (str(FIRST_FD + place), "/hermes/.env") in pairs(steps.arguments, "--ro-bind-data", 2)


def test_etc_is_bound_entry_by_entry() -> None:
    """/etc/ssl as a whole may hold private keys: only what is listed is shown."""
    words = plan(Confinement(HOME), SYSTEM).arguments
    assert [source for source, _ in pairs(words, "--ro-bind", 2) if source.startswith("/etc")] == ["/etc/ssl/certs"]


def test_is_fresh_judges_by_whole_path_components() -> None:
    """/tmpfiles is not below /tmp."""
    assert is_fresh("/tmp/a")
    assert is_fresh("/var/tmp/a")
    assert not is_fresh("/tmpfiles/a")


def test_interpreter_outside_of_usr_is_bound_and_found_by_its_old_path() -> None:
    """Its prefix appears at one place; where it needs its own library, the path it was built for leads there."""
    system = replace(SYSTEM, python="/opt/python/bin/python3", python_source="/srv/py", python_alias="/srv/py")
    steps = plan(Confinement(HOME), system)
    assert ("/srv/py", "/opt/python") in pairs(steps.arguments, "--ro-bind", 2)
    assert ("/opt/python", "/srv/py") in pairs(steps.arguments, "--symlink", 2)
    arguments, command = plan_template(system, control_fd=12, code_fd=13)
    assert ("/srv/py", "/opt/python") in pairs(tuple(arguments), "--ro-bind", 2)
    assert command[0] == "/opt/python/bin/python3"


def test_template_sees_no_profile_and_keeps_no_more_capabilities_than_it_needs() -> None:
    """What is forked for every agent is started without any agent's directory, and can only enter sandboxes."""
    arguments, _ = plan_template(SYSTEM, control_fd=12, code_fd=13)
    assert pairs(tuple(arguments), "--bind", 2) == []
    assert pairs(tuple(arguments), "--cap-drop", 1) == [("ALL",)]
    kept = {word for (word,) in pairs(tuple(arguments), "--cap-add", 1)}
    assert kept == {"CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SETUID", "CAP_SETGID"}
