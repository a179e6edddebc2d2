"""Reports: one self-contained page for each entry and each incident, and the same for Prefect's artifacts.

Pure functions from what the archive holds to text. A page is one file of HTML with its style and its
pictures in it, without scripts; it asks nobody for anything.
"""
