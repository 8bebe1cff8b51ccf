"""The leak table's probes: each is real turns on one side, judged by what the answers show."""
