"""Captures: from what somebody wants to an entry in the archive. Nothing here knows Prefect."""
