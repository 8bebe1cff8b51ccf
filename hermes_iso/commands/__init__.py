"""The slash commands that people send in a chat: what they are called, who may use them, and what each does."""
