"""Reading copies back from probe mailboxes: folder, delay, verdicts of authentication, TLS."""
