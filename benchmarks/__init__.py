"""Benchmarks of Mailsluice beside comparable senders. See README.md."""
