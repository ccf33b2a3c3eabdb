"""The style of the report, for light and dark modes and any width."""

from __future__ import annotations

#: Series of charts, told apart by people with any sight, on white and on near-black.
LIGHT = ("#0072B2", "#C24E00", "#008060", "#A0478B", "#7A6500", "#2F8FC8", "#5B4BB5", "#5A6470")
DARK = ("#56B4E9", "#FF9A5C", "#3CCB9F", "#E59AC9", "#E6CF4B", "#9AD2F5", "#B3A7FF", "#B4BEC9")

#: Dashes of the series' lines, so that colour is not all that tells them apart.
DASHES = ("", "7 3", "2 3", "9 3 2 3", "", "7 3", "2 3", "9 3 2 3")


def _variables(ink: str, muted: str, page: str, card: str, rule: str, heat: str,
               series: tuple[str, ...]) -> str:
    named = {"ink": ink, "muted": muted, "page": page, "card": card, "rule": rule, "heat": heat,
             **{f"s{index}": color for index, color in enumerate(series)}}
    return "".join(f"--{name}:{value};" for name, value in named.items())


STYLE = f"""
:root {{ color-scheme: light dark;
  {_variables("#1F2933", "#52606D", "#F4F6F8", "#FFFFFF", "#D5DBE1", "0,114,178", LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{
  {_variables("#E6EAEE", "#A7B1BB", "#14181C", "#1E242A", "#3A444D", "86,180,233", DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 0 0 .25rem; }}
p {{ margin: 0 0 .75rem; color: var(--muted); max-width: 46rem; overflow-wrap: anywhere; }}
section {{ background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: 1rem; margin-top: 1rem; }}
.tiles {{ display: grid; gap: .6rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }}
.tiles div {{ background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .6rem .8rem; }}
.tiles b {{ display: block; font-size: 1.45rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }}
.tiles span {{ color: var(--muted); font-size: .85rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }}
th, td {{ padding: .25rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }}
thead th {{ color: var(--muted); font-weight: 600; }}
tbody th, thead th:first-child {{ text-align: left; font-weight: 500; }}
tbody th, thead th:first-child {{ position: sticky; left: 0; background: var(--card); }}
tbody tr.total > * {{ font-weight: 700; }}
table.matrix td {{ text-align: center; min-width: 3rem; border: 1px solid var(--rule); }}
table.matrix thead th {{ text-align: center; }}
table.matrix td.own {{ outline: 2px solid var(--ink); outline-offset: -2px; }}
table.settings td {{ text-align: left; white-space: normal; overflow-wrap: anywhere; }}
table.settings th {{ vertical-align: top; color: var(--muted); }}
svg {{ display: block; width: 100%; height: auto; }}
svg text {{ fill: var(--muted); font-size: 13px; }}
svg .value {{ fill: var(--ink); }}
svg .grid {{ stroke: var(--rule); stroke-width: 1; }}
svg .curve {{ fill: none; stroke-width: 2; }}
svg .faint {{ fill: none; stroke: var(--muted); stroke-opacity: .3; stroke-width: 1; }}
svg .pooled {{ fill: none; stroke: var(--ink); stroke-width: 3; }}
.chart {{ max-width: 40rem; }}
.key {{ display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .5rem 0 0; padding: 0;
  list-style: none; font-size: .9rem; overflow-wrap: anywhere; }}
.key svg {{ display: inline-block; width: 2rem; height: .8rem; margin-right: .4rem;
  vertical-align: -.05rem; }}
.bars {{ display: grid; grid-template-columns: max-content 1fr max-content; gap: .3rem .7rem;
  align-items: center; max-width: 40rem; margin-bottom: 1rem; font-size: .92rem; }}
.bars i {{ display: block; height: 1.1rem; border-radius: .2rem; background: var(--s0); }}
.bars .track {{ background: rgba(var(--heat), .12); border-radius: .2rem; }}
.bars .value {{ text-align: right; font-variant-numeric: tabular-nums; }}
figure {{ margin: 1rem 0 0; }}
figcaption {{ font-size: .92rem; margin-bottom: .35rem; }}
.pair {{ display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }}
.pair div {{ font-size: .85rem; color: var(--muted); }}
.pair img {{ display: block; width: 100%; height: auto; border-radius: .3rem; }}
@media (max-width: 34rem) {{ body {{ padding: 1rem .6rem 2rem; }} section {{ padding: .75rem; }}
  th, td {{ padding: .25rem .4rem; }} svg text {{ font-size: 19px; }} }}
@media print {{ section {{ break-inside: avoid; }} }}
"""
