"""The `edgecap` command, for people and scripts."""
