"""SMTP sessions: connect, log in, and send messages. This package knows nothing of the store."""
