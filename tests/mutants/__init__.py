"""Whether the tests of the most important code notice each small mistake in it: `make mutants`."""
