"""The files that Hermes' engine writes directly in a home, and how each is treated where its agent has a sandbox.

Inside, all of them lie in `/hermes/.agent`, which the agent can write, and a symlink of their name stands in `/hermes`. Outside
there are two kinds. What an agent itself has done is *moved*: the file goes to `<profile>/.agent/`, and a symlink is left that
Hermes' own programs follow. SQLite does so by itself and keeps its journals beside the real file, so these have no symlink;
and Hermes writes its JSON by a rename onto what a symlink leads to.

What says something about others is *private*: outside it stays where it is, unseen by the agent, whose engine begins with an
empty one inside. That is a cache which Hermes' programs on the host believe (an address in it would be sent a key), and what
all profiles share. Files that are in neither list are the operator's or the gateway's, and are never inside.
"""

from __future__ import annotations

from dataclasses import dataclass

DIRECTORY = ".agent"
"""The directory of a profile that holds the engine's files; inside it is `/hermes/.agent`."""
JOURNALS = ("-wal", "-shm", "-journal")
"""What SQLite appends to the name of a database for the files that belong to it."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """One file of the engine, by its name in a home.

    database: it is SQLite's, so what has its name and an ending of `JOURNALS` belongs to it.
    moved: `adopt` moves it to `.agent/` and leaves a symlink; otherwise it is private, and stays.
    """

    name: str
    database: bool = False
    moved: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, then those of its journals."""
        return (self.name, *(self.name + ending for ending in JOURNALS)) if self.database else (self.name,)


STATE_FILES = (
    StateFile("state.db", database=True, moved=True),
    StateFile("projects.db", database=True, moved=True),
    StateFile("verification_evidence.db", database=True, moved=True),
    StateFile("memory_store.db", database=True, moved=True),
    StateFile("processes.json", moved=True),
    StateFile("kanban.db", database=True),
    StateFile("response_store.db", database=True),
    StateFile(".skills_prompt_snapshot.json"),
    StateFile("context_length_cache.yaml"),
    StateFile("models_dev_cache.json"),
    StateFile("provider_models_cache.json"),
    StateFile("ollama_cloud_models_cache.json"),
    StateFile("modal_snapshots.json"),
    StateFile("singularity_snapshots.json"),
    StateFile("sticker_cache.json"),
    StateFile(".hermes_history"),
)
"""Every file of the engine; the symlinks that `/hermes` has inside are these names."""
MOVED = tuple(each for each in STATE_FILES if each.moved)
"""Those that `adopt` moves."""
