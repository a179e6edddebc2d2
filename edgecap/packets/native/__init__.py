"""The loops that run once for each packet, in C. The stubs beside the sources describe each function."""
