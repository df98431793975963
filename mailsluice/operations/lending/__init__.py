"""Lending: a connection that has room sends to recipients of one that is bound."""
