"""The program that asks Hermes itself; it runs in the engine's environment and is never imported by the gateway."""
