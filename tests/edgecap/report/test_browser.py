"""Reports in a real browser: by day, by night, on a phone, on paper, and with names that want to do harm."""

import re

import pytest

from edgecap.report.entry import entry_html
from edgecap.report.incident import incident_html
from edgecap.report.markdown import entry_markdown
from tests.browser import chromium, visit
from tests.edgecap.report.filters import proposals
from tests.edgecap.report.hostile import NAMES, hostile_entry, hostile_summary
from tests.edgecap.report.incidents import attack, hostile, just_begun, mitigated
from tests.edgecap.report.summaries import entry_of, file_record, flood, nothing, reflection

PAGES = {
    "flood": lambda: entry_html(entry_of(flood()), flood()),
    "reflection": lambda: entry_html(entry_of(reflection(), type="simple", colo=""), reflection()),
    "no summary": lambda: entry_html(entry_of(flags=("truncated",)), None),
    "no packets": lambda: entry_html(entry_of(nothing(), packets=0), nothing()),
    "incident": lambda: incident_html(*attack(), proposals=proposals()),
    "incident that the edge mitigated": lambda: incident_html(*mitigated()),
    "incident that goes on": lambda: incident_html(*just_begun()),
}

# Of each element with text of its own: how much it stands out from what is behind it, as WCAG 2 has it.
CONTRAST = """() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = c => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = c; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => {
    const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  let least = [99, ''];
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.closest('title')) continue;
    const style = getComputedStyle(e), ink = rgb(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
    if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 120)];
  }
  return least;
}"""
# What can be seen whole neither as it stands nor by scrolling in its table.
CUT_OFF = """() => [...document.querySelectorAll('main *')].filter(e => {
  if (e.closest('.scroll') || e.closest('svg') || !e.getClientRects().length) return false;
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + .5 || box.left < -.5;
}).map(e => e.outerHTML.slice(0, 120))"""

# Of an A4 sheet, in pixels. Rules for narrow windows go by the sheet; what is wider than its page between the
# margins is cut off.
SHEET = 794
BETWEEN_MARGINS = "document.querySelector('main').style.width = '703px'"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=PAGES)
def address(request, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_loads_nothing_and_has_no_errors(browser, address, scheme):
    with visit(browser, address, color_scheme=scheme) as seen:
        assert seen.requests == [address]
        assert seen.complaints == []
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        bright = sum(map(int, re.findall(r"\d+", ground)[:3]))
        assert (bright > 600) is (scheme == "light")
        least, where = seen.page.evaluate(CONTRAST)
        assert least >= 4.5, where


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_window(browser, address, width):
    with visit(browser, address, width=width) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(CUT_OFF) == []


def test_a_phone_gets_a_picture_whose_letters_can_be_read(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(PAGES["incident"](), encoding="utf-8")
    with visit(browser, path.as_uri(), width=390) as seen:
        sizes = seen.page.evaluate(
            "[...document.querySelectorAll('svg text')].filter(e => e.getClientRects().length)"
            ".map(e => e.getBoundingClientRect().height)"
        )
    assert sizes
    assert min(sizes) >= 9


def test_on_paper_it_is_light_and_all_there(browser, address):
    with visit(browser, address, color_scheme="dark", width=SHEET) as seen:
        paper = seen.page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 1
        seen.page.emulate_media(media="print")
        seen.page.evaluate(BETWEEN_MARGINS)
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 251)"
        assert seen.page.evaluate("document.querySelector('main').scrollWidth") <= 703
        wide = (
            "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert seen.page.evaluate(wide) == 0


def busy():
    """A capture with numbers as large as they get."""
    summary = flood()

    def large(talkers):
        most = {"packets": 59_491_000, "flows": 240_200, "address": "198.51.100.173"}
        return talkers.model_copy(
            update={"top": tuple(each.model_copy(update=most) for each in talkers.top), "distinct": 240_200}
        )

    return summary.model_copy(
        update={"sources": large(summary.sources), "destinations": large(summary.destinations)}
    )


def test_on_paper_columns_of_large_numbers_stay_in_their_place(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(entry_html(entry_of(busy()), busy()), encoding="utf-8")
    with visit(browser, path.as_uri(), width=SHEET) as seen:
        seen.page.emulate_media(media="print")
        seen.page.evaluate(BETWEEN_MARGINS)
        over = "[...document.querySelectorAll('#talkers .scroll')].map(e => e.scrollWidth - e.clientWidth)"
        assert max(seen.page.evaluate(over)) <= 0


def test_on_paper_all_forms_of_a_filter_are_shown(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(PAGES["incident"](), encoding="utf-8")
    shown = "[...document.querySelectorAll('.finding details > :not(summary)')].map(e => e.checkVisibility())"
    with visit(browser, path.as_uri(), width=SHEET) as seen:
        assert not all(seen.page.evaluate(shown))
        seen.page.emulate_media(media="print")
        assert all(seen.page.evaluate(shown))


def test_on_a_phone_tables_fit_or_show_that_they_go_on(browser, tmp_path):
    over = "e => e.scrollWidth - e.clientWidth"
    shadow = "e => getComputedStyle(e).backgroundAttachment"
    for name, html, where in (
        ("flows", entry_html(entry_of(busy()), busy()), "#flows .scroll"),
        ("phases", PAGES["incident"](), "#phases .scroll"),
    ):
        path = tmp_path / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        with visit(browser, path.as_uri(), width=390) as seen:
            table = seen.page.locator(where)
            assert table.evaluate(over) <= 0
            assert table.evaluate(shadow) == "local, local, scroll, scroll"


@pytest.mark.parametrize("kind", ["capture", "incident"])
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_does_nothing(browser, tmp_path, name, kind):
    path = tmp_path / "report.html"
    page = entry_html(hostile_entry(name), hostile_summary(name))
    path.write_text(
        page if kind == "capture" else incident_html(*hostile(name), proposals=proposals(name)),
        encoding="utf-8",
    )
    with visit(browser, path.as_uri(), width=390) as seen:
        assert seen.page.title() != "owned"
        assert seen.page.evaluate("document.scripts.length + document.images.length") == 0
        assert seen.requests == [path.as_uri()]
        assert seen.complaints == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_policy_in_the_page_stops_a_script_that_got_in(browser, tmp_path):
    """The second line of defence, tried with a hole in the first."""
    path = tmp_path / "report.html"
    hole = "<script>document.title='owned'</script><img src='https://evil.example/x'></main>"
    path.write_text(PAGES["flood"]().replace("</main>", hole), encoding="utf-8")
    with visit(browser, path.as_uri()) as seen:
        assert seen.page.title().startswith("SYN flood")
        assert len([line for line in seen.complaints if "Content Security Policy" in line]) == 2


def test_a_page_of_twenty_thousand_files_opens(browser, tmp_path):
    files = tuple(file_record(f"raw/{number:05}.pcap", packets=1) for number in range(20_000))
    path = tmp_path / "report.html"
    path.write_text(entry_html(entry_of(flood(), files=files), flood()), encoding="utf-8")
    with visit(browser, path.as_uri()) as seen:
        assert seen.page.evaluate("document.getElementsByTagName('*').length") < 10_000


def test_the_picture_of_an_artifact_is_shown_with_its_colours(browser, tmp_path):
    """Prefect's page is not ours: the picture brings its own ground."""
    image = re.search(r"\((data:image/svg[^)]+)\)", entry_markdown(entry_of(flood()), flood()))[1]
    path = tmp_path / "artifact.html"
    path.write_text(f'<!doctype html><body style="background:#f0f"><img src="{image}">')
    with visit(browser, path.as_uri(), color_scheme="dark") as seen:
        shown = seen.page.evaluate(
            "(() => { const i = document.images[0], c = document.createElement('canvas');"
            "c.width = i.naturalWidth; c.height = i.naturalHeight; const g = c.getContext('2d');"
            "g.drawImage(i, 0, 0); return [i.naturalWidth, ...g.getImageData(3, 3, 1, 1).data]; })()"
        )
    assert shown == [624, 0x14, 0x17, 0x1B, 255]
