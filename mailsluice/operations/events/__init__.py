"""Taking in the events of providers: pushed over HTTP, or imported from a file."""
