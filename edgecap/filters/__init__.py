"""Filters: what a tcpdump expression asks for, what of it the API can do, and the rest as a BPF program."""
