"""The report's style sheet: light and dark as the reader's system says, and for print."""

CSS = """
:root { color-scheme: light dark; --ink: #1a1d21; --paper: #ffffff; --card: #f6f7f9; --line: #d9dde3; --soft: #5c6570;
  --good: #0d7a4b; --good-card: #e7f6ee; --bad: #c2152c; --bad-card: #fdebed; --cell: #e3eefc; --cell-line: #1f6fd6;
  --map: #f3f4f6; --map-line: #98a2ae; --end: #fff3d6; --end-line: #c98a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #15181c; --card: #1e2227; --line: #363c44;
  --soft: #a3acb7; --good: #5fd39a; --good-card: #12301f; --bad: #ff7b8a; --bad-card: #3a151b; --cell: #16283f;
  --cell-line: #5fa0f0; --map: #23272d; --map-line: #6b7580; --end: #35290c; --end-line: #d9a63a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 1.4rem 4rem; max-width: 1060px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; }
.subtitle { color: var(--soft); margin: .3rem 0 0; }
.verdict { margin: 1.4rem 0; padding: .9rem 1.2rem; border-radius: 10px; border-left: 6px solid; }
.verdict strong { display: block; font-size: 1.35rem; line-height: 1.3; }
.good { background: var(--good-card); border-color: var(--good); } .good strong { color: var(--good); }
.bad { background: var(--bad-card); border-color: var(--bad); } .bad strong { color: var(--bad); }
.none { background: var(--end); border-color: var(--end-line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; vertical-align: bottom; }
th, td { padding: .42rem .55rem; border-bottom: 1px solid var(--line); }
td { vertical-align: top; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; overflow-wrap: normal; }
td.number { white-space: nowrap; } table.agreement td:first-child { white-space: nowrap; }
tr.skipped td { color: var(--soft); }
td.zero { color: var(--good); font-weight: 600; } td.some { color: var(--bad); font-weight: 700; }
table.compact { width: auto; font-size: .85rem; } table.compact td { padding: .18rem .8rem; }
table.facts thead { display: none; } table.facts td:first-child { color: var(--soft); width: 17rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: center; margin: .6rem 0; font-size: .92rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.figure { margin: .8rem 0 .2rem; } .figure svg, .figure img { max-width: 100%; height: auto; display: block; }
.figure svg text { font-family: inherit !important; } .figure svg { fill: currentColor; }
.paper { background: #fff; border-radius: 6px; }
.caption { color: var(--soft); font-size: .9rem; margin: .2rem 0 1.2rem; max-width: 60rem; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
.graph text { fill: var(--ink); text-anchor: middle; }
.graph .name { font-size: 13px; font-weight: 600; } .graph .kind { font-size: 12px; }
.graph .shape, .graph .delay { font-size: 11px; fill: var(--soft); }
.graph rect { stroke-width: 1.4; } .graph .cell rect { fill: var(--cell); stroke: var(--cell-line); }
.graph .map rect { fill: var(--map); stroke: var(--map-line); }
.graph .end rect { fill: var(--end); stroke: var(--end-line); }
.graph .edge path { fill: none; stroke: var(--soft); stroke-width: 1.6; } .graph .tip { fill: var(--soft); }
.graph .feedback path { stroke-dasharray: 6 4; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } h2 { break-after: avoid; }
  .figure, table, .verdict { break-inside: avoid; } .figure svg.graph { max-width: 100% !important; }
  details::details-content { content-visibility: visible; } }
"""
