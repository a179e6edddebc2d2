"""The receiver of alerts: it answers 202 once an alert is on disk, and sees to what follows from it."""
