"""Tests of hermes_iso.envfile."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.envfile import parse_env, quote, render_env

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
TRICKY = st.text("ab '\"\\$`\n#=\r!\t;&", max_size=12)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("NAME = spaced ", "spaced"),
        ("export NAME=shell", "shell"),
        ("  export   NAME=deep", "deep"),
        ("NAME=value # a comment", "value"),
        ("NAME=value#no-comment", "value#no-comment"),
        ("NAME='single # kept'", "single # kept"),
        ('NAME="double # kept" # comment', "double # kept"),
        (r'NAME="a\nb\"c"', 'a\nb"c'),
        (r"NAME='a\nb'", r"a\nb"),
        ("NAME='two\nlines'", "two\nlines"),
        ("NAME=", ""),
        ("NAME=''", ""),
        ("NAME=a=b", "a=b"),
        ("'NAME'=quoted", "quoted"),
        ("NAME=${OTHER}", "${OTHER}"),
        ("NAME=crlf\r", "crlf"),
        ("\ufeffNAME=marked", "marked"),
    ],
)
def test_env_reads_what_dotenv_reads(line, value):
    """Names, quotes, escapes and comments mean what they mean to python-dotenv."""
    env = parse_env(line + "\n")
    assert (dict(env.values), env.warnings) == ({"NAME": value}, ())


def test_env_keeps_the_rest_when_a_line_is_bad():
    """A line that is no entry is a warning with its line; the others count, and so do their lines."""
    env = parse_env("A=1\nthis is not an entry\n9X=2\nB='open\nC=3\n\n# fine\nD=4\n")
    assert env.values == {"A": "1", "C": "3", "D": "4"}
    assert env.lines == {"A": 1, "C": 5, "D": 8}
    assert [line for line, _ in env.warnings] == [2, 3, 4]


def test_env_takes_the_last_of_two_entries():
    """As in a shell, the later entry of a name counts."""
    assert parse_env("A=1\nA=2").values == {"A": "2"}


def test_env_never_repeats_a_value_in_a_warning():
    """A warning about a bad line holds no secret."""
    warnings = parse_env("TOKEN='s3cret\n=s3cret\n").warnings
    assert len(warnings) == 2
    assert "s3cret" not in str(warnings)


def test_env_values_are_not_in_the_repr():
    """An EnvFile that lands in a log shows no value."""
    assert "s3cret" not in repr(parse_env("A=s3cret"))


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), TEXT | TRICKY, max_size=4))
def test_env_reads_back_what_it_writes(values):
    """Whatever a value holds, this parser and a POSIX word splitter read it back identically."""
    text = render_env(values)
    assert dict(parse_env(text).values) == values
    assert parse_env(text).warnings == ()
    assert shlex.split(text, comments=True) == [f"{name}={value}" for name, value in values.items()]


@pytest.mark.parametrize(
    "value", ["it's", 'say "hi"', r"back\slash", "$HOME `id`", "it's $HOME", "two\nlines", r"\\'$", "#no", ""]
)
def test_env_means_the_same_to_a_shell(value):
    """`sh` reads the quoted value as it was: nothing is expanded, nothing runs."""
    done = subprocess.run(["sh", "-c", f'A={quote(value)}; printf %s "$A"'], capture_output=True, text=True, check=True)
    assert done.stdout == value


@given(st.text(max_size=200))
def test_env_survives_any_text(text):
    """No text makes the parser fail or yield a name that an environment can't hold."""
    assert all("=" not in name and "\0" not in name + value for name, value in parse_env(text).values.items())
