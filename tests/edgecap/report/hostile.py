"""Names as somebody would choose them who wants something of the report's reader; and a reader of pages."""

from html.parser import HTMLParser

from edgecap.packets.summary import Summary
from tests.edgecap.report.summaries import entry_of, file_record, flood

NAMES = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' onmouseover='document.title=1' x='",
    "</style></title><svg onload=document.title='owned'>",
    "]]>&lt;script&gt;&#60;script&#62;",
    "[click](javascript:document.title='owned') ![x](http://evil.example/x.png) <http://evil.example>",
    "https://evil.example/?q=1 www.evil.example a@evil.example",
    "`code` | cell | **bold** _it_ ~~no~~ \\` \\",
    "line\n# heading\n\n<b>\n| a | b |\n|---|---|\n```\n",
    "invoice\u202egnp.exe\u2066\u200b",
    "bell\x07null\x00escape\x1b[31mred\x7f",
    "a" * 5_000,
)

_TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "p",
        "h1",
        "h2",
        "h3",
        "section",
        "div",
        "nav",
    ),
    *("dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "span", "code", "pre", "b"),
    *(
        "a",
        "br",
        "footer",
        "figure",
        "figcaption",
        "details",
        "summary",
        "svg",
        "rect",
        "path",
        "line",
        "text",
        "g",
    ),
}
_VOID = {"meta", "br"}


class Seen(HTMLParser):
    """What a browser would make of a page: its tags, its text, and where it leads."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in _VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def check(self, *, links=()) -> None:
        """It is made of what reports are made of and leads nowhere else."""
        assert self.tags <= _TAGS, self.tags - _TAGS
        assert not self.unbalanced
        assert not self._open
        assert not {
            name for name in self.attributes if name.startswith("on") or name in ("src", "xlink:href")
        }
        leads = {href for href in self.attributes.get("href", ()) if not href.startswith("#")}
        assert leads <= set(links), leads


def everywhere(value, name, *, under=""):
    """A copy of JSON data with `name` in place of each text that may come from elsewhere."""
    if isinstance(value, dict):
        return {key: everywhere(each, name, under=key) for key, each in value.items()}
    if isinstance(value, list):
        return [everywhere(each, name, under=under) for each in value]
    fixed = ("format", "strength", "kind", "kinds", "fixed", "protocol", "first", "last", "start", "peak_at")
    return name if isinstance(value, str) and under not in fixed else value


def hostile_summary(name):
    return Summary.model_validate(everywhere(flood().model_dump(mode="json"), name))


def hostile_entry(name):
    """An entry with `name` wherever a name can be chosen by somebody else."""
    record = file_record(
        f"raw/{name}",
        packets=3,
        flags=(name,),
        damage=name,
        damage_offset=7,
        verified_by=name,
        source_key=name,
    )
    intent = {
        "run": name,
        "incident": name,
        "alert": {"source": name, "kind": name, "severity": name, "targets": [name]},
    }
    return entry_of(
        flags=("truncated", name),
        files=(record,),
        colo=name,
        request={"type": name, name: name, "filter": {"destination_address": name, "protocol": name}},
        intent=intent,
    )
