"""The wire: one SMTP session at a time. Knows nothing of the outbox."""
