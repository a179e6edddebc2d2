"""Captures whose truth is known: ten and more kinds of ordinary service, and attacks, from a seed.

`build` makes one: ordinary traffic of a service, with or without an attack, as it looks sampled, filtered,
and in one direction or both. `make bench-verdict` and tests judge verdicts by them.
"""
