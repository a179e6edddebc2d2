"""Filters: split a tcpdump expression into the API's fields and a BPF program for the rest."""
