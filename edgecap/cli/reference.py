"""`python -m edgecap.cli.reference` writes the pages generated from `--help` and the error tree."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from edgecap.cli.app import GROUPS, HELP_WIDTH, app
from edgecap.cli.exits import exits_page

CLI_PAGE = Path("docs/cli.md")
EXITS_PAGE = Path("docs/exit-codes.md")
_HEAD = """# The command line

The `--help` of every command. [Exit codes](exit-codes.md) are a contract for scripts. Written by
`python -m edgecap.cli.reference`.
"""


def commands() -> list[tuple[str, ...]]:
    """The words of every command, the program itself first."""
    found: list[tuple[str, ...]] = [()]
    for name in app.resolved_commands():
        if not name.startswith("-"):
            found.append((name,))
            _, inner = GROUPS.get(name, (None, ()))
            found += [(name, each) for each, _, _ in inner]
    return found


def cli_page() -> str:
    """The page `docs/cli.md`."""
    parts = [_HEAD]
    for words in commands():
        screen = StringIO()
        app.help_print([*words], console=Console(file=screen, width=HELP_WIDTH, color_system=None))
        lines = "\n".join(line.rstrip() for line in screen.getvalue().strip().splitlines())
        parts.append(f"## `{' '.join(('edgecap', *words))}`\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    CLI_PAGE.write_text(cli_page())
    EXITS_PAGE.write_text(exits_page())
