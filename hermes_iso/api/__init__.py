"""The HTTP API: OpenAI's chat completions over the straight line, and what belongs to them."""
