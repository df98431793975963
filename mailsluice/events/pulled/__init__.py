"""Events that are asked for: what to ask a provider's API, and how to read its pages. Pure."""
