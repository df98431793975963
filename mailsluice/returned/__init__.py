"""Mail that came back: what it says, and whose mail it was. Decisions alone."""
