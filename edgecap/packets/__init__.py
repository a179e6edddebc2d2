"""Read, filter, merge and summarize packets."""
