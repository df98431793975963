"""Seed tests: how much of the mail over each connection is in the inbox, test after test."""
