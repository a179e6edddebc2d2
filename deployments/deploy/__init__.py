"""Bringing the deployments of `prefect.yaml` to a Prefect server."""
