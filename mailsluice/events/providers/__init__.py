"""The event formats of the providers: a module for each."""
