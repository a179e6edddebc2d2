"""Files of this machine: durable writes, unpacking, and telling what a file is."""
