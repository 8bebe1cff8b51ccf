"""What the gateway knows of Hermes' own package: its files, its version, and how a home of it is taken over."""
