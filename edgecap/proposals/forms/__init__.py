"""A filter in the languages of those who apply it. A language that lacks a field says so."""
