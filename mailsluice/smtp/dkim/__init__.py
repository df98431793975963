"""DKIM signatures for the mail of a connection (RFC 6376, RFC 8463)."""
