"""All that knows Prefect's ways: suspending and recovering runs, lanes, retries, the REST client."""

import stamina.instrumentation

# Who tries again says so itself, where a person looks. By default stamina logs each retry as a warning, which
# would land in the middle of a terminal's progress bar.
stamina.instrumentation.set_on_retry_hooks([])
