"""The mappings of the pages in docs/alerts, as one would paste them into the settings."""

import json
import re
import textwrap
import tomllib
from pathlib import Path

from edgecap.alerts.sources.registry import sources
from edgecap.settings.alerts import AlertSettings

DOCS = Path(__file__).parents[4] / "docs" / "alerts"


def settings_of_page(page):
    """The settings of alerts with the page's table, and a secret."""
    text = (DOCS / f"{page}.md").read_text()
    block = textwrap.dedent(re.findall(r"( *```toml\n.*?) *```", text, re.DOTALL)[0])
    tables = tomllib.loads(block.partition("\n")[2])
    (table,) = tables["alerts"]["custom"].values()
    table["secret"] = "s3"
    return AlertSettings.model_validate(tables["alerts"])


def source_of_page(page):
    """The source that the page's table makes."""
    return sources(settings_of_page(page))[page.replace("-", "_")]


def example_of_page(page):
    """The payload on the page."""
    return json.loads(re.findall(r"```json\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)[0])
