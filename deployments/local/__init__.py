"""Everything on one machine: Prefect's server, workers, and the processes that they run in."""
