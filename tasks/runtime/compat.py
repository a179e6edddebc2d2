"""Placeholder."""

AUTO_SCHEDULED = "auto-scheduled"
