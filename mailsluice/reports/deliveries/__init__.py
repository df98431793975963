"""What became of accepted messages, as providers report it."""
