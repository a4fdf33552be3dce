"""The style sheet of a page: light or dark as the reader's screen is, narrow or wide, on paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #57606a;
  --line: #d5dae0; --accent: #0072B2; --fill: #0072b226; --care: #fff4e5; --care-line: #D55E00 }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14171a;
  --quiet: #9aa5b1; --line: #343c45; --accent: #6cc1f2; --fill: #56b4e93d; --care: #2e2216;
  --care-line: #E69F00 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem); max-width: 78rem;
  color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { margin: 2.5rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
  font-size: 1.2rem }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; overflow-wrap: anywhere }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere }
a { color: var(--accent) }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: 1rem }
code, pre { font: .82rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
.columns { columns: 24rem; column-gap: 2rem }
.columns .wide { overflow: visible }
.quiet, figcaption { color: var(--quiet) }
.note { padding: .5rem .75rem; border-left: 4px solid var(--care-line);
  background: var(--care) }
.wide { overflow-x: auto; max-width: 100% }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: .75rem; margin: 0 }
.tiles div { padding: .6rem .75rem; border: 1px solid var(--line); border-radius: 6px }
.tiles dt { color: var(--quiet); font-size: .8rem }
.tiles dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap }
tbody th { font-weight: 400; min-width: 8rem; max-width: 30rem; overflow-wrap: anywhere }
td { white-space: nowrap }
.values tbody th { min-width: 12rem }
.values td { max-width: 40rem; white-space: normal; overflow-wrap: anywhere }
.bar { display: inline-block; min-width: 8rem; padding: 0 .4rem; border-radius: 3px;
  background: linear-gradient(90deg, var(--fill) var(--part), transparent var(--part)) }
figure { margin: 1rem 0 }
figure svg { display: block; max-width: 100%; height: auto }
figure img { display: block; width: 100%; min-width: 40rem; border-radius: 4px }
figcaption { font-size: .85rem; overflow-wrap: anywhere }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 0 1.5rem }
.large svg { min-width: 34rem }
details { margin: .5rem 0 } summary { cursor: pointer; color: var(--accent) }
@media print {
  @page { margin: 14mm }
  body { padding: 0; max-width: none; font-size: 10pt }
  nav { display: none }
  .wide { overflow: visible }
  .large svg, figure img { min-width: 0; max-width: 100% }
  .charts { grid-template-columns: 1fr 1fr } .columns { columns: 2 } pre { font-size: 7.5pt }
  .bar, .note, .tiles div { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  h2, h3 { break-after: avoid } figure, tr, .tiles div, .note { break-inside: avoid }
  td { white-space: normal }
}
"""
