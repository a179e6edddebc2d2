"""Reading packets and telling what is in a file."""
