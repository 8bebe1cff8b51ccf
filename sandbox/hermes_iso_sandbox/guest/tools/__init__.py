"""The native engine's tools: one file per family, and the registry, which holds what a turn was granted and nothing else."""
