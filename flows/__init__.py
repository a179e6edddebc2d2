"""Prefect flows, to be read from top to bottom."""
