"""How a report's page looks: light and dark, narrow and wide, and in print."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1c2024; --soft: #5b636b; --line: #d8dde2; --panel: #f5f7f9;
  --correct: #17692f; --inexact: #7a5200; --wrong: #b3191f; --unresolved: #7a3294; --nonsmooth: #0b6178;
  --h0: #e8ebee; --h1: #fde0a6; --h2: #f7a35c; --h3: #d9482b; --h4: #8c0d25;
  --on0: #5b636b; --on1: #3d2c00; --on2: #2f1500; --on3: #ffffff; --on4: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --ink: #e4e7ea; --soft: #9aa4ad; --line: #343b43; --panel: #1d2126;
    --correct: #65cf86; --inexact: #e8b64c; --wrong: #ff8080; --unresolved: #d79bf0; --nonsmooth: #63c9e2;
    --h0: #262c33; --h1: #5f4613; --h2: #a4561a; --h3: #e2603c; --h4: #ffc3b0;
    --on0: #9aa4ad; --on1: #ffe9bd; --on2: #ffffff; --on3: #1d0500; --on4: #4a0010;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 2rem; max-width: 66rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0 0 .6rem; }
p { margin: .4rem 0; }
code, td, .index {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .86em;
}
.soft, footer { color: var(--soft); font-size: .875rem; }
.badge { display: inline-block; padding: .1rem .65rem; border: 2px solid; border-radius: 1rem; font-weight: 650; }
.correct { color: var(--correct); } .inexact { color: var(--inexact); } .wrong { color: var(--wrong); }
.unresolved { color: var(--unresolved); } .nonsmooth { color: var(--nonsmooth); }
.wide { overflow-x: auto; }
.wide:focus-visible, summary:focus-visible { outline: 2px solid var(--nonsmooth); outline-offset: 2px; }
table { border-collapse: collapse; }
.grid { min-width: min(100%, 34rem); }
.grid th, .grid td {
  padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top;
}
.grid thead th { color: var(--soft); font-family: inherit; font-weight: 500; font-size: .875rem; white-space: nowrap; }
.grid tbody th { font-weight: 600; }
.grid .number { text-align: right; white-space: nowrap; }
.grid .why { font-family: inherit; min-width: 12rem; }
.grid .verdict { font-weight: 600; white-space: nowrap; }
details { margin: .8rem 0; }
summary { cursor: pointer; padding: .3rem 0; }
.block {
  border: 1px solid var(--line); border-left: 4px solid currentColor; border-radius: .4rem;
  margin: 1rem 0; padding: 1rem;
}
.block > * { color: var(--ink); }
.block > .soft { color: var(--soft); }
.block > h3 { color: inherit; }
.cause { background: var(--panel); border-radius: .3rem; margin: .9rem 0 0; padding: .6rem .8rem; }
.cause dt { color: var(--soft); font-size: .875rem; }
.cause dd { margin: 0 0 .5rem; } .cause dd:last-child { margin-bottom: 0; }
.heat { margin: .3rem 0; }
.wide + p { margin-top: .9rem; }
.heat th {
  color: var(--soft); font-size: .7rem; font-weight: 400;
  padding: 0 .3rem 0 0; text-align: right; white-space: nowrap;
}
.heat thead th { padding: 0 0 .25rem; text-align: left; vertical-align: bottom; }
.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.heat td {
  border: 1px solid var(--page); font-size: .68rem; height: 1.35rem;
  min-width: 1.3rem; padding: 0; text-align: center;
}
.h0 { background: var(--h0); color: var(--on0); } .h1 { background: var(--h1); color: var(--on1); }
.h2 { background: var(--h2); color: var(--on2); } .h3 { background: var(--h3); color: var(--on3); }
.h4 { background: var(--h4); color: var(--on4); }
.hx { background: repeating-linear-gradient(45deg, var(--h0) 0 4px, var(--page) 4px 8px); color: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; list-style: none; margin: .2rem 0 0; padding: 0; }
.legend span {
  border: 1px solid var(--line); display: inline-block; height: .8rem;
  margin-right: .35rem; vertical-align: -.08rem; width: .8rem;
}
ul.notes { margin: .4rem 0; padding-left: 1.2rem; }
footer { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: .8rem; }
@media (max-width: 40rem) {
  .block { padding: .75rem; }
  .heat td { font-size: .62rem; min-width: 1.05rem; }
  .grid, .grid tbody, .grid tr, .grid th, .grid td { display: block; }
  .grid thead { height: 1px; overflow: hidden; position: absolute; width: 1px; clip-path: inset(50%); }
  .grid tr { border-bottom: 1px solid var(--line); padding: .45rem 0; }
  .grid tbody th, .grid td, .grid .number { border: 0; padding: .05rem 0; text-align: left; white-space: normal; }
  .grid td::before {
    color: var(--soft); content: attr(data-label); display: inline-block;
    font: .8rem system-ui, sans-serif; width: 5.5rem;
  }
  .grid .why { padding-left: 5.5rem; text-indent: -5.5rem; }
  .grid .why::before { text-indent: 0; }
}
@media print { .block { break-inside: avoid; } }
"""
