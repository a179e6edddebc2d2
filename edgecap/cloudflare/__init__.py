"""Cloudflare's PCAPs API: models, client, errors."""
