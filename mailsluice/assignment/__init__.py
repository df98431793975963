"""Assign recipients to connections, to places in the send order, and to days."""
