"""Starting the process of a run by a fork of one that has imported everything, instead of a new Python."""
