"""Simulated APIs of providers, which list events as their public documentation says."""
