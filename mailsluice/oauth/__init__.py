"""OAuth 2.0: the access tokens with which connections and mailboxes log in."""
