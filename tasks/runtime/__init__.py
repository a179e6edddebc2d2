"""All that knows Prefect's ways: suspending and recovering runs, lanes, retries, the REST client."""
