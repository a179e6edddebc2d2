"""`edgecap archive policy` and `edgecap bucket policy`: the minimal rights of the keys."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from edgecap.cli.output import print_json, say
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores.rights import Rights, archive_rights, bucket_rights, cloudflare_rights


def archive_policy(name: Annotated[str, Parameter(name="NAME")] = DEFAULT, /) -> None:
    """Print the minimal rights of an archive's keys.

    Args:
        name: Name of the archive in the settings.
    """
    _print(archive_rights(load_settings().archive(name)))


def bucket_policy(
    name: Annotated[str, Parameter(name="NAME")] = DEFAULT, /, *, cloudflare: bool = False
) -> None:
    """Print the minimal rights of a bucket's keys.

    Args:
        name: Name of the bucket in the settings.
        cloudflare: Print the rights that Cloudflare needs in the bucket, instead of edgecap's.
    """
    place = load_settings().bucket(name)
    _print(cloudflare_rights(place) if cloudflare else bucket_rights(place))


def _print(rights: Rights) -> None:
    if rights.policy:
        print_json(rights.policy)
    for line in rights.lines:
        sys.stdout.write(f"{line}\n")
    for note in rights.notes:
        say(note)
