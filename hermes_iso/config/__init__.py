"""The config of a home: YAML text and `.env` files to one frozen Config, with every mistake in its line."""
