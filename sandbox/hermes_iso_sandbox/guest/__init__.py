"""The guest: the code that runs inside a sandbox. Standard library and `wire` only; an agent's process can read all of it."""
