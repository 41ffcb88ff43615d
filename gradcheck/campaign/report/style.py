"""How a campaign's page looks, besides what it has in common with a report's."""

from gradcheck.report import style

STYLE = f"""{style.STYLE.rstrip()}
:root {{
  --bar: #33699e; --limit: #1c2024;
  --c1: #e3eef9; --c2: #b5d3ee; --c3: #6ba3d6; --c4: #2a6099;
  --onc1: #1c2024; --onc2: #10283e; --onc3: #06192b; --onc4: #ffffff;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --bar: #7fb0e6; --limit: #e4e7ea;
    --c1: #1d2d3d; --c2: #274c6e; --c3: #346c9f; --c4: #a9d1f5;
    --onc1: #d5e6f7; --onc2: #e4f0fb; --onc3: #ffffff; --onc4: #06192b;
  }}
}}
.figures {{ display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.2rem 0; }}
.figures div {{ background: var(--panel); border-radius: .4rem; flex: 1 1 8rem; padding: .6rem .9rem; }}
.figures dd {{ font-size: 1.5rem; font-weight: 650; line-height: 1.3; margin: 0; }}
.figures dt {{ color: var(--soft); font-size: .875rem; }}
figure {{ margin: 0; min-width: 0; }}
figcaption {{ font-weight: 600; margin-bottom: .3rem; }}
figcaption .soft {{ display: block; font-weight: 400; }}
.charts {{
  display: grid; gap: 1.5rem; margin: .8rem 0 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
}}
.chart {{ display: block; height: auto; max-width: 30rem; width: 100%; }}
.chart text {{ fill: var(--soft); font-size: 11px; }}
.chart .strong {{ fill: var(--ink); font-weight: 600; }}
.chart .bar {{ fill: var(--bar); }} .chart .under {{ opacity: .6; }} .chart .over {{ fill: var(--wrong); }}
.chart .level {{ stroke: var(--line); }}
.chart .limit {{ stroke: var(--limit); stroke-dasharray: 4 3; stroke-width: 1.5; }}
.grids {{ display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; }}
.cover td {{ font-size: .75rem; height: 1.6rem; min-width: 2.6rem; padding: 0 .2rem; }}
.cover thead th {{ text-align: center; }} .cover thead td {{ min-width: 0; }}
.cover th {{ font-size: .8rem; }}
.c1 {{ background: var(--c1); color: var(--onc1); }} .c2 {{ background: var(--c2); color: var(--onc2); }}
.c3 {{ background: var(--c3); color: var(--onc3); }} .c4 {{ background: var(--c4); color: var(--onc4); }}
.cx {{ background: repeating-linear-gradient(45deg, var(--h0) 0 4px, var(--page) 4px 8px); color: var(--soft); }}
.whole {{ display: grid; gap: .15rem 1rem; grid-template-columns: minmax(4rem, max-content) 1fr; margin: .3rem 0 .6rem; }}
.whole dt {{ color: var(--soft); font-size: .875rem; }}
.whole dd {{ font-size: .875rem; margin: 0; }}
pre {{ background: var(--panel); border-radius: .3rem; margin: .4rem 0; overflow-x: auto; padding: .8rem; }}
pre code {{ font-size: .8rem; user-select: all; }}
.block .wide {{ margin-top: .9rem; }}
.block details {{ margin: .5rem 0 0; }}
@media (min-width: 40rem) {{ .grid .name {{ white-space: nowrap; }} }}
@media (max-width: 40rem) {{
  .cover td {{ font-size: .7rem; min-width: 2rem; }}
  .grid td:empty, .grid th:empty {{ display: none; }}
}}
"""
