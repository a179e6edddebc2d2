"""From the packets of an attack to filters that match it, each with its proof. Nothing is pushed anywhere."""
