"""The operator's hooks: found on the host, run in a sandbox of their own, asked and told at fixed moments of the line."""
