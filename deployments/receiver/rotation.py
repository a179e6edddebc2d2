"""New secrets of the settings file, taken while the receiver runs: nobody has to restart it to change one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from deployments.receiver.pages import ReportPages
from edgecap.alerts.sources.enabled import EnabledSource, enabled_sources
from edgecap.errors import EdgecapError
from edgecap.settings import Settings, config_file, load_settings

LOOK = 5.0  # seconds between two looks at the file
_log = logging.getLogger("edgecap.receiver")


class SecretRotation:
    """Brings secrets up to date when the settings file changes.

    Only secrets: what else changes in the file, such as a source that is new, takes a restart.

    Args:
        enabled: the sources that are on, by name; each gets its new secrets here.
        reports: get the new token; None without reports.
        load: reads the settings.
    """

    def __init__(
        self,
        enabled: dict[str, EnabledSource],
        reports: ReportPages | None,
        load: Callable[[], Settings] = load_settings,
    ) -> None:
        self._enabled = enabled
        self._reports = reports
        self._load = load
        self._seen = _stamp()

    def __repr__(self) -> str:
        return f"<SecretRotation [{', '.join(self._enabled)}]>"

    async def forever(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            self.look()

    def look(self) -> None:
        """Take the secrets anew if the file changed; if it is wrong now, keep those of before."""
        now = _stamp()
        if now == self._seen:
            return
        self._seen = now
        try:
            settings = self._load()
            fresh = enabled_sources(settings.alerts)
        except EdgecapError as error:
            _log.warning("the settings changed and are wrong, so the former secrets stay: %s", error)
            return
        changed = [name for name, source in self._enabled.items() if name in fresh and fresh[name] != source]
        self._enabled |= {name: fresh[name] for name in changed}
        if self._reports and (token := settings.receiver.report_token):
            self._reports.change_token(token.get_secret_value().strip())
        _log.info("the settings changed; alerts with new secrets: %s", ", ".join(changed) or "none")


def _stamp() -> tuple[int, int, int]:
    """Changes when the file is written or replaced; zeros if there is none."""
    try:
        found = config_file().stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size
