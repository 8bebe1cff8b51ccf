"""`bench turns`: what isolation costs, measured on the sandbox pool against a warm process without any."""
