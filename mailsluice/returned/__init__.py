"""Mail that came back: read from a mailbox, understood, and matched to whom it was sent to."""
