"""Whether the tests of what must never fail notice when it does: `make mutants`."""
