"""How reports look, by day and by night: colours, and the style sheet of a page."""

from __future__ import annotations

from edgecap.report.markup import Html

_LIGHT = {
    "bg": "#fcfcfb",
    "ink": "#1b1f24",
    "soft": "#59626d",
    "line": "#dcdfe4",
    "wash": "#f1f3f5",
    "shade": "#59626d66",
    "link": "#1f5a9e",
    "tcp": "#3a72b5",
    "udp": "#c98321",
    "icmp": "#7d5aa6",
    "other": "#8d959e",
    "alarm": "#b3261e",
    "warn": "#8a5a00",
    "good": "#2a6b43",
}
# Not black: on a phone in a dark room, white on black swims.
_DARK = {
    "bg": "#14171b",
    "ink": "#dde1e6",
    "soft": "#98a2ad",
    "line": "#2e343b",
    "wash": "#1d2126",
    "shade": "#98a2ad66",
    "link": "#86b4ee",
    "tcp": "#6b9fe0",
    "udp": "#dda14a",
    "icmp": "#ab8ddb",
    "other": "#7b8590",
    "alarm": "#ff8a80",
    "warn": "#e8b65a",
    "good": "#7cc596",
}


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


COLOURS = (
    f":root{{{_variables(_LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}"
)
"""The colours, as variables; paper is always light."""

PICTURE = (
    "text{font:11px ui-sans-serif,system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;fill:var(--soft)}"
    "text.number{font-family:ui-monospace,'SFMono-Regular','DejaVu Sans Mono',Menlo,Consolas,monospace;"
    "font-size:10.5px}"
    "text.strong{fill:var(--ink);font-weight:600}text.plain{fill:var(--ink)}"
    "text.over{stroke:var(--bg);stroke-width:3px;stroke-linejoin:round;paint-order:stroke}"
    "text.alarm{fill:var(--alarm)}text.warn{fill:var(--warn)}"
    ".passed{fill:var(--good)}.dropped{fill:var(--alarm);opacity:.72}"
    ".tcp{fill:var(--tcp)}.udp{fill:var(--udp)}.icmp{fill:var(--icmp)}.other{fill:var(--other)}"
    ".grid{stroke:var(--line);stroke-width:1;fill:none}.axis{stroke:var(--soft);stroke-width:1;fill:none}"
    ".bits{fill:var(--soft);opacity:.45}.hover{fill:transparent}.hover:hover{fill:var(--soft);opacity:.25}"
    ".wash{fill:var(--wash)}.attack{fill:var(--alarm);opacity:.08}.edge{stroke:var(--alarm);stroke-width:1.5}"
    ".mark{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}"
    ".absent{fill:var(--wash);stroke:var(--warn);stroke-dasharray:4 3}"
    ".waiting{fill:var(--wash);stroke:var(--soft);stroke-dasharray:2 3}"
    ".window{fill:none;stroke:var(--line)}"
)
"""The style of charts."""

# A table that is wider than its place has a shadow at the edge behind which it goes on.
# Paper shows all: what is closed on a screen, too, in browsers that know `::details-content`.
_PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;color-scheme:light dark}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 ui-sans-serif,system-ui,'Segoe UI',Roboto,\
Helvetica,Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:20px 24px 48px}
a{color:var(--link)}
h1{font-size:1.55rem;line-height:1.28;margin:.1em 0 .35em;font-weight:650;overflow-wrap:anywhere;\
text-wrap:balance}
h2{font-size:1.02rem;margin:0 0 .5em;font-weight:650}
h2,h3{overflow-wrap:anywhere}
h3{font-size:.86rem;margin:0 0 .35em;font-weight:600;color:var(--soft)}
p{margin:.3em 0 .6em;max-width:78ch;overflow-wrap:anywhere}
section{border-top:1px solid var(--line);padding-top:14px;margin-top:22px}
.kind,.note,figcaption{color:var(--soft);font-size:.86rem}
.kind{margin:0;overflow-wrap:anywhere}
.mono,code,pre,td.number,th.number,dd{font-family:ui-monospace,'SFMono-Regular','DejaVu Sans Mono',Menlo,\
Consolas,monospace;font-size:.86em}
code,.mono{overflow-wrap:anywhere}
nav{font-size:.86rem;margin:14px 0 0}
nav a{margin-right:1.1em;white-space:nowrap;text-decoration:none}
nav a:hover{text-decoration:underline}
.flags{list-style:none;padding:0;margin:.5em 0}
.flags li{margin:.15em 0;overflow-wrap:anywhere}
.flags b{font-weight:600}
.alarm{color:var(--alarm)}.warn{color:var(--warn)}.good{color:var(--good)}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px 20px;margin:16px 0 0}
dl.facts div{min-width:0}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:.95rem;overflow-wrap:anywhere}
dl.facts .wide{grid-column:span 2}
.finding{border-left:3px solid var(--warn);padding:2px 0 2px 12px;margin:0 0 12px}
.finding.likely{border-color:var(--alarm)}
.finding p{margin:0;font-weight:600}
.finding ul,.plain{margin:.2em 0 0;padding-left:1.1em;overflow-wrap:anywhere}
.finding li,.plain li{margin:.1em 0}
figure{margin:0}
svg{display:block;width:100%;height:auto;overflow:visible}
.narrow{display:none}
.two{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:22px 36px}
.two>div,.two>figure{min-width:0}
.scroll{overflow-x:auto;background:\
linear-gradient(to right,var(--bg) 40%,transparent) 0 0/36px 100% no-repeat local,\
linear-gradient(to left,var(--bg) 40%,transparent) 100% 0/36px 100% no-repeat local,\
linear-gradient(to right,var(--shade),transparent) 0 0/14px 100% no-repeat scroll,\
linear-gradient(to left,var(--shade),transparent) 100% 0/14px 100% no-repeat scroll}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{font-weight:500;color:var(--soft);text-align:left;font-size:.82rem;border-bottom:1px solid var(--line)}
th,td{padding:3px 12px 3px 0;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
td{border-bottom:1px solid var(--wash);overflow-wrap:break-word}
td .mono{overflow-wrap:anywhere}
td.number,th.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th.number{font-family:inherit;white-space:normal}
td.address{min-width:9.5em}
td.endpoint{min-width:11.6em}
td.file{min-width:15em}
td.tight{white-space:nowrap;overflow-wrap:normal}
td.meter{width:76px;vertical-align:middle}
td.meter svg{width:64px;height:8px}
.bar{display:block}
.bar svg{width:64px;height:5px;margin-left:auto}
details{margin:10px 0 0}
summary{color:var(--link);font-size:.86rem;cursor:pointer;overflow-wrap:anywhere}
.pairs th{border:0;width:44%;padding-right:18px;overflow-wrap:anywhere}
.pairs td{border:0}
.hash{display:block;color:var(--soft);overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);padding:10px 12px;margin:.4em 0}
footer{border-top:1px solid var(--line);margin-top:28px;padding-top:10px;color:var(--soft);font-size:.82rem}
.two svg{max-width:520px}
@media(max-width:760px){.two{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:640px){
main{padding:14px 14px 40px}h1{font-size:1.25rem}
dl.facts{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px 14px}
.broad{display:none}.narrow{display:block}
th,td{padding-right:9px}td.meter,th.meter{display:none}.least{display:none}td.file{min-width:11.5em}
#phases td,#phases th{padding-right:7px}
#phases td.number{white-space:normal}
td.endpoint,th.endpoint{display:block;min-width:0;border:0}
}
@page{margin:14mm 12mm}
@media print{
html{color-scheme:light}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:10.5pt}main{max-width:none;padding:0}nav,details.screen{display:none}
.scroll{overflow:visible;background:none}
details::details-content{content-visibility:visible}
h2,h3,h2+p,.finding>p,summary{break-after:avoid}tr,p,li,pre,figure,dl div{break-inside:avoid}
thead{display:table-header-group}
.two table{font-size:.76rem}.two th,.two td{padding-right:8px}.two td.meter,.two th.meter{display:none}
td.address{min-width:0}td .note{font-size:1em}
a{color:inherit;text-decoration:none}
}
"""

STYLE = Html(COLOURS + PICTURE + _PAGE.strip().replace("\n", ""))
"""The style sheet of a page."""
