"""Captures: from an order to an entry in the archive. Nothing here knows Prefect."""
