"""Other ways to send the same mail."""
