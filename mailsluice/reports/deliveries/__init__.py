"""Deliveries of accepted messages, as providers report them."""
