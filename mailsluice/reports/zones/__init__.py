"""The time zones of a campaign's recipients, where its sending window applies in them."""
