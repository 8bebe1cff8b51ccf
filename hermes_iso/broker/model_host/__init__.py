"""The model host: `http://model.local/v1/…` inside a sandbox, answered by the agent's own provider with the gateway's key."""
