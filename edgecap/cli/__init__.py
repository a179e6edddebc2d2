"""The `edgecap` command: a front door for people and scripts."""
