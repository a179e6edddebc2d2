"""Prefect tasks: one verb a module, each adapting one domain call to Prefect."""
