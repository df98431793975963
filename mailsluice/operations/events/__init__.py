"""Taking in the events of providers: those that they push, and those that they are asked for."""
