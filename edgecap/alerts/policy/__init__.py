"""The policy: which alerts lead to which captures, with which filter and which window."""
