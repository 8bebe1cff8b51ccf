"""The command line: parsing and exit codes only; each command group is one file."""
