"""Cloudflare's Network Analytics: where traffic arrives, and what the edge did with it.

Nothing here stops or delays a capture: every question has a deadline, and every failure is one of two errors.
"""
