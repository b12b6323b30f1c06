"""The report's style sheet: light and dark as the reader's system says, for print, and for narrow screens.

Ink on paper;
  the one accent is red and marks what differs or is wrong. Colours of runs (after Okabe & Ito, Color universal
design, 2008; darker on white) are seen only where runs differ.
"""

CSS = """
:root { color-scheme: light dark; --ink: #16191d; --soft: #5a6470; --faint: #d5dae0; --paper: #ffffff; --card: #f3f5f7;
  --bad: #c01a2e; --doubt: #8a5a00; --tint: #f9d3d8; --shade: #aab3bd; --cell: #e4effc;
  --fill: #1266c9;
  --run-0: #16191d; --run-1: #0072b2; --run-2: #c05600; --run-3: #008764; --run-4: #b0468a; --run-5: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a2acb7; --faint: #343b43; --paper: #14171a;
  --card: #1d2125; --bad: #ff8590; --doubt: #e5b04c; --tint: #5a1f28; --shade: #5d6873;
  --cell: #1a2c44;
  --fill: #4a8fdd; --run-0: #e6e8eb; --run-1: #56b4e9; --run-2: #e69f00; --run-3: #00b888; --run-4: #e38cc0;
  --run-5: #f0e442; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.asked { color: var(--soft); margin: 0 0 .2rem; font-size: .95rem; }
h1 { font-size: clamp(1.7rem, 1.2rem + 2.2vw, 2.5rem); line-height: 1.15; margin: 0 0 .8rem; letter-spacing: -.015em; }
h1.bad { color: var(--bad); } h1.none { color: var(--doubt); }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 3.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; max-width: 44rem; }
.lede { font-size: 1.1rem; } .subtitle, .note { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums lining-nums; }
th { text-align: left; color: var(--soft); font-weight: 400; vertical-align: bottom; line-height: 1.25; }
table.first thead th { white-space: nowrap; }
thead th { border-bottom: 1px solid var(--ink); }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--faint); }
th:last-child, td:last-child { padding-right: 0; }
tbody th { color: var(--ink); font-weight: 600; white-space: nowrap; vertical-align: top; line-height: inherit; }
tbody th small { color: var(--soft); font-weight: 400; font-size: inherit; }
td { vertical-align: top; overflow-wrap: break-word; }
th.number, td.number { text-align: right; } td.number { white-space: nowrap; }
tr.skipped td, tr.skipped th { color: var(--soft); font-weight: 400; }
td.zero { font-weight: 600; } td.some { color: var(--bad); font-weight: 700; }
table.compact { width: auto; font-size: .85rem; } table.compact td { padding-block: .18rem; white-space: nowrap; }
table.facts thead { display: none; } table.facts td:first-child { color: var(--soft); width: 12rem; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; font-size: .9rem; max-width: none; }
.key span { display: inline-flex; align-items: center; gap: .45rem; }
.swatch { flex: none; width: .7rem; height: .7rem; background: currentColor; }
.swatch.all { width: 2.5px; height: .8rem; } .swatch.differing { background: var(--tint); width: 1rem; height: 1rem; }
.swatch.line { width: 1.3rem; height: 3px; }
.swatch.scale { width: 7rem; height: .7rem; background: linear-gradient(90deg, transparent, var(--fill)); opacity: .6;
  outline: 1px solid var(--shade); }
.figure { margin: .8rem 0 .2rem; }
.chart { display: block; width: calc(100% - 3rem); margin-left: 3rem; overflow: visible; }
.plot { overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.chart text { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg .heading { font-size: 13px; white-space: pre; } svg .name, svg .true { fill: var(--ink); font-weight: 600; }
svg .heading { transform: translateX(-3rem); }
svg .across { text-anchor: middle; } svg .end, svg .row { text-anchor: end; }
svg .differs { fill: var(--bad); font-weight: 700; }
.chart .grid { stroke: var(--faint); stroke-width: 1; } .base { stroke: var(--shade); stroke-width: 1; }
.threshold, .rounding { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 5 4; }
.rounding { stroke-dasharray: 1 3; }
.plot path { fill: none; stroke: currentColor; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.plot .events { stroke: var(--soft); stroke-width: 2; }
.plot .differing { fill: var(--tint); stroke: var(--tint); stroke-width: 3; }
.plot .voltage, .plot .distance { stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.plot .spikes { stroke-width: 3; } .plot.dense .spikes.all { stroke-width: 1.6; }
.run-0 { color: var(--run-0); fill: var(--run-0); } .run-1 { color: var(--run-1); fill: var(--run-1); }
.run-2 { color: var(--run-2); fill: var(--run-2); } .run-3 { color: var(--run-3); fill: var(--run-3); }
.run-4 { color: var(--run-4); fill: var(--run-4); } .run-5 { color: var(--run-5); fill: var(--run-5); }
.plot path.voltage, .plot path.distance, .plot path.spikes { fill: none; }
.digits { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1.8rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
.digit { display: flex; flex-direction: column; justify-content: space-between; }
.seen { display: flex; gap: .8rem; align-items: center; min-height: 4.4rem; line-height: 1.35; font-size: .9rem; }
.seen p { margin: 0; } .wrong { color: var(--bad); }
.pixels { width: 56px; height: 56px; image-rendering: pixelated; flex: none; }
@media (prefers-color-scheme: dark) { .pixels, .heat { filter: invert(1); } }
.heat { image-rendering: pixelated; }
.formula { font-size: .9rem; line-height: 1.5; background: var(--card); padding: .6rem .9rem; overflow-x: auto;
  white-space: pre-wrap; }
.bars { display: block; overflow: visible; } .bar.all { fill: var(--shade); } .bar.read { fill: var(--ink); }
.caption { color: var(--soft); font-size: .9rem; margin: .4rem 0 1.4rem; }
details { margin: .6rem 0; } summary { cursor: pointer; padding: .3rem 0; }
.graph { display: block; max-width: 100%; height: auto; } .graph text { fill: var(--ink); text-anchor: middle; }
.graph .name { font-size: 13px; } .graph .shape, .graph .delay { fill: var(--soft); }
.graph rect { stroke-width: 1.2; stroke: var(--shade); fill: var(--card); } .graph .cell rect { fill: var(--cell); }
.graph .end rect { fill: none; }
.graph .edge path { fill: none; stroke: var(--soft); stroke-width: 1.5; } .graph path.tip { fill: var(--soft); }
.graph .feedback path { stroke-dasharray: 6 4; }
.mesh .router { fill: var(--card); } .mesh .free { fill: none; stroke: var(--faint); }
.mesh .used { fill: var(--fill); stroke: var(--ink); stroke-opacity: .5; }
.mesh text { fill: var(--ink); text-anchor: middle; font-size: 11px; } .mesh { display: block; max-width: none; }
.mesh .messages { stroke: var(--ink); stroke-linecap: round; }
.mesh text { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-opacity: .6; stroke-linejoin: round; }
footer { margin-top: 3.5rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { body { padding: 1.6rem 1rem 3rem; } h2 { margin-top: 2.4rem; }
  table.first thead th:first-child, table.first tbody th { position: sticky; left: 0; background: var(--paper); }
  tbody th small { display: block; } .chart { width: calc(100% - 2.7rem); margin-left: 2.7rem; }
  svg .heading { transform: translateX(-2.7rem); } table.facts td { display: block; width: auto !important; }
  table.facts td:first-child { border: 0; padding-bottom: 0; }
  .digits { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.2rem 1.2rem; } .seen { gap: .5rem; } }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } h2 { break-after: avoid; }
  .figure, table, .digit { break-inside: avoid; } .scroll { overflow: visible; }
  svg.graph { min-width: 0 !important; }
  details::details-content { content-visibility: visible; } }
"""
