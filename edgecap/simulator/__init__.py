"""A simulated Cloudflare edge on this machine: the same API, limits, states and faults."""
