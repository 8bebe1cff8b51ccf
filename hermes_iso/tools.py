"""The tools that the native engine offers, as a model is told of them; the guest holds the same names and arguments."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.tool_spec import ToolSpec, array, flag, number, struct, text
from hermes_iso.tool_specs_asking import CLARIFY
from hermes_iso.tool_specs_cron import CRONJOB
from hermes_iso.tool_specs_delegation import DELEGATE_TASK
from hermes_iso.tool_specs_messages import SEND_MESSAGE
from hermes_iso.tool_specs_sessions import SESSION_SEARCH
from hermes_iso.tool_specs_skills import SKILL_VIEW, SKILLS_LIST
from hermes_iso.toolsets import KNOWN_TOOLS, TOOL_PROFILES, TOOLSETS, tools_named

__all__ = ["KNOWN_TOOLS", "TOOLS", "TOOLSETS", "TOOL_PROFILES", "ToolSpec", "tools_named"]


_TERMINAL = ToolSpec(
    "terminal",
    "Run a shell command and return what it prints (stdout and stderr together) and its exit code. Files and the working"
    " directory stay as a command leaves them for the next one of this turn; variables do not. The command gets no input."
    " Long output is cut in the middle at 50,000 characters. What must go on after the answer (a server,"
    " a long build) needs background=true and the tool process.",
    struct(
        {
            "command": text("The command, in the language of bash."),
            "background": flag("Start it and return at once with a session_id for the tool process."),
            "timeout": number("Seconds until it is ended (default 180, at most 600).", minimum=1),
            "workdir": text("Directory to run it in, for this command only (default: the working directory)."),
        },
        "command",
    ),
    executes=True,
    writes=True,
)
_PROCESS = ToolSpec(
    "process",
    "Look after the background processes of this conversation. list: all of them. poll: state and latest output of one. log:"
    " lines of its output. wait: until it ends, or for a while. kill: end it. write: text to its stdin. submit: text and a line"
    " end to its stdin.",
    struct(
        {
            "action": text("What to do.", enum=["list", "poll", "log", "wait", "kill", "write", "submit"]),
            "session_id": text("The process, as terminal with background=true named it. Needed by all actions but list."),
            "data": text("What to write or submit."),
            "timeout": number("Seconds to wait at most (default and limit 180).", minimum=1),
            "offset": number("First line of a log, counted from 0; without it the last lines are shown."),
            "limit": number("Lines of a log to show (default 200).", minimum=1),
        },
        "action",
    ),
    executes=True,
    writes=True,
)
_READ_FILE = ToolSpec(
    "read_file",
    "Read lines of a text file. Each line is shown as NUMBER|TEXT. A long file is shown in parts of at most 100,000 characters:"
    " go on at next_offset. Images and other binary files can't be read. A missing file is answered with similar names.",
    struct(
        {
            "path": text("The file: absolute, from ~, or from the working directory."),
            "offset": number("First line to show, counted from 1.", default=1, minimum=1),
            "limit": number("Lines to show at most.", default=500, maximum=2000),
        },
        "path",
    ),
)
_WRITE_FILE = ToolSpec(
    "write_file",
    "Write a whole file. What it held before is lost; to change a part of it use patch. Missing directories are made.",
    struct(
        {
            "path": text("The file: absolute, from ~, or from the working directory."),
            "content": text("Everything that the file is to hold."),
        },
        "path",
        "content",
    ),
    writes=True,
)
_PATCH = ToolSpec(
    "patch",
    "Change parts of text files and return the difference. Mode replace puts new_string in the place of old_string in one file;"
    " differences of white space are forgiven where the place stays clear. Mode patch applies a V4A patch to one or more files:"
    " all of it or nothing.",
    struct(
        {
            "mode": text("Which of the two.", enum=["replace", "patch"], default="replace"),
            "path": text("Mode replace: the file."),
            "old_string": text("Mode replace: the text to find; give enough of what is around it that it is there only once."),
            "new_string": text("Mode replace: the text that takes its place; empty to remove it."),
            "replace_all": flag("Mode replace: change every place."),
            "patch": text(
                "Mode patch: lines between *** Begin Patch and *** End Patch. *** Update File: PATH is followed by hunks, each"
                " begun by @@ LINE NEARBY @@ and made of lines that begin with a blank (kept), - (removed) or + (added)."
                " *** Add File: PATH is followed by + lines. *** Delete File: PATH and *** Move File: OLD -> NEW stand alone."
            ),
        },
        "mode",
    ),
    writes=True,
)
_SEARCH_FILES = ToolSpec(
    "search_files",
    "Search below a directory. target=content finds lines that match a regular expression; target=files finds files by a"
    " pattern of their names, newest first, and lists a directory with *. Hidden and binary files are passed over.",
    struct(
        {
            "pattern": text("A regular expression (Python's), or for files a pattern such as *.py."),
            "target": text("What to search.", enum=["content", "files"], default="content"),
            "path": text("The directory or file to search.", default="."),
            "file_glob": text("Content: only files whose names match, such as *.md."),
            "limit": number("Results to show at most.", default=50),
            "offset": number("Results to pass over.", default=0),
            "output_mode": text(
                "Content: the lines, the files that have one, or how many each has.",
                enum=["content", "files_only", "count"],
                default="content",
            ),
            "context": number("Content: lines to show before and after each match.", default=0),
        },
        "pattern",
    ),
)
_EXECUTE_CODE = ToolSpec(
    "execute_code",
    "Run a Python script in a fresh process and return what it prints. It has the standard library and can import modules from"
    " the working directory; nothing of it is left for the next script but files. It is ended after 300 seconds."
    " Output is cut in the middle at 50,000 characters.",
    struct({"code": text("The script. Print what you want to see.")}, "code"),
    executes=True,
    writes=True,
)
_OPERATION = struct(
    {
        "action": text("What to do.", enum=["add", "replace", "remove"]),
        "content": text("The entry, for add and replace."),
        "old_text": text("A part of the entry that is meant, for replace and remove."),
    },
    "action",
)
_MEMORY = ToolSpec(
    "memory",
    "Keep short notes beyond this conversation: they are part of every later system prompt, so note what will matter again"
    " (what the person prefers, facts about this place, lessons) in few words, and nothing that can be looked up. memory holds"
    " 2,200 characters, user 1,375. Several changes at once go into operations: all or none of them happen, and only the"
    " result must fit. When a note does not fit, the entries are shown: shorten or remove some and add the new one in the"
    " same call.",
    struct(
        {
            "action": text("A single change. Leave it out with operations.", enum=["add", "replace", "remove"]),
            "target": text("memory: your own notes. user: what you know about the person.", enum=["memory", "user"]),
            "content": text("The entry, for add and replace."),
            "old_text": text("A part of the one entry that is meant, for replace and remove."),
            "operations": array("Several changes to one target.", _OPERATION),
        },
        "target",
    ),
)
_TODO = ToolSpec(
    "todo",
    "Keep a list of tasks while you work on something of several steps, most important first. Without todos the list is shown."
    " Have one task in_progress at a time and mark it as soon as it is done. Every call returns the whole list.",
    struct(
        {
            "todos": array(
                "The tasks.",
                struct(
                    {
                        "id": text("A name of your choice, the same in later calls."),
                        "content": text("What is to be done."),
                        "status": text("How far it is.", enum=["pending", "in_progress", "completed", "cancelled"]),
                    },
                    "id",
                    "content",
                    "status",
                ),
            ),
            "merge": flag("Change tasks of the same id and add the others, rather than replace the whole list."),
        }
    ),
)

TOOLS: Mapping[str, ToolSpec] = {
    spec.name: spec
    for spec in (
        _TERMINAL,
        _PROCESS,
        _READ_FILE,
        _WRITE_FILE,
        _PATCH,
        _SEARCH_FILES,
        _EXECUTE_CODE,
        _MEMORY,
        _TODO,
        CLARIFY,
        DELEGATE_TASK,
        SESSION_SEARCH,
        SEND_MESSAGE,
        SKILLS_LIST,
        SKILL_VIEW,
        CRONJOB,
    )
}
"""Name to spec, in the order in which they are offered."""
