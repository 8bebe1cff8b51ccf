"""The durable inbox: messages taken for good, in order within a chat, each answered once, whatever dies."""
