"""The demonstration: the main job for real, with a simulated edge in Cloudflare's place."""
