"""Settings: accounts, buckets and archives have names; run parameters carry only the names."""

from edgecap.settings.loading import check_places, load_settings
from edgecap.settings.models import (
    BASE_URL,
    CONFIG,
    DEFAULT,
    FOLDER,
    Account,
    Bucket,
    Settings,
    StoreLocation,
    Timing,
    base_folder,
    config_file,
)

__all__ = [
    "BASE_URL",
    "CONFIG",
    "DEFAULT",
    "FOLDER",
    "Account",
    "Bucket",
    "Settings",
    "StoreLocation",
    "Timing",
    "base_folder",
    "check_places",
    "config_file",
    "load_settings",
]
