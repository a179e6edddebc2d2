"""Fetching one object, as the product fetches several."""

from edgecap.stores.transfer import fetch_many


def fetch_one(store, info, target, **options):
    return fetch_many(store, [info], [target], **options)[0]
