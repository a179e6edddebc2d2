"""How flows get run: the one-machine runner, the demo and what they start."""
