"""The per-packet loops, in C. The stubs beside the sources describe each function."""
