"""Lists on the web and in object stores: downloaded whole into a private file, then read."""
