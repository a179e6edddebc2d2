"""Reports: one self-contained page for each entry and each incident, and the same for Prefect's artifacts.

Pure functions from the archive's records to text. A page is one file of HTML with its style and its pictures,
without scripts; it loads nothing.
"""
