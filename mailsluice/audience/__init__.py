"""The audience of a campaign: read from its source, checked and deduplicated."""
