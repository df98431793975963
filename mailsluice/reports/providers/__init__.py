"""What became of a campaign's mail, by mailbox provider."""
