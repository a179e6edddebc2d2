"""Where entries live: layout, journal, manifest, verification."""
