"""Taking in the events that providers push over HTTP."""
