"""Local files: durable writes, unpacking, detection of file types."""
