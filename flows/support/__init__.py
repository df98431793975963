"""What the flows share: run state, stop requests, session slots, progress, forms, errors."""
