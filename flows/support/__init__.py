"""Parts that the flows share: launching, sending, stopping, session slots, progress, errors."""
