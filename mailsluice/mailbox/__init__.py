"""The mailbox that mail comes back to: read by IMAP, recorded, put away."""
