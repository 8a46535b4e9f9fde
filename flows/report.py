"""`report.html`: a run on one page that stands alone, for a person: what came out, what was lost where, and what it cost.

No script and nothing from elsewhere, so it opens from a disk, a bucket or a mail, on a phone as well, and prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import polars as pl

from . import plots
from .facts import Facts, lengths

STYLE = """
:root{--ink:#1d2329;--soft:#5b6670;--paper:#fff;--card:#f5f6f8;--line:#dde1e6;--one:#2f6f9f;--two:#d9822b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--paper:#15181c;--card:#1e2329;--line:#333b44;--one:#6fb1e0;--two:#f0a75a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
p{margin:.4rem 0}.soft,.none,.said,figcaption{color:var(--soft);font-size:.875rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem}
.figures div{background:var(--card);border-radius:.5rem;padding:.6rem .8rem}
.figures b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:.8rem}
figure{margin:0;background:var(--card);border-radius:.5rem;padding:.6rem}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}
.axis{stroke:var(--soft);stroke-width:.7}.dot{fill:var(--one);opacity:.35}
rect.s0,i.s0{fill:var(--one);background:var(--one);opacity:.7}rect.s1,i.s1{fill:var(--two);background:var(--two);opacity:.6}
.line{fill:none;stroke-width:1.5}.line.s0{stroke:var(--one)}.line.s1{stroke:var(--two)}.band{stroke:var(--soft);stroke-width:1.5;opacity:.6}
.legend{font-size:.8rem}.legend i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .8em}
.row{display:grid;grid-template-columns:minmax(4.5rem,9rem) 1fr minmax(0,45%);gap:.5rem;align-items:center;margin:.25rem 0}
.name{overflow-wrap:anywhere;font-size:.9rem}.track{background:var(--card);height:.9rem}
.track i{display:block;height:100%;background:var(--one)}
@media(max-width:36rem){.row{grid-template-columns:1fr;gap:.1rem;margin:.6rem 0}}
.pair{border:1px solid var(--line);border-radius:.5rem;margin:.8rem 0;padding:.2rem .8rem}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,16rem),1fr));gap:.8rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--card);border-radius:.4rem;padding:.6rem;font-size:.85rem;margin:.3rem 0}
.table{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .4rem;border-bottom:1px solid var(--line);text-align:right}td:first-child,th:first-child{text-align:left}
"""
SHOWN = 2000  # characters of a text in a sample


def report(facts: Facts, samples: int = 5) -> str:
    """The whole page."""
    title = escape(facts.run.name)
    parts = [
        f"<h1>{title}</h1><p class=soft>{escape(', '.join(facts.models))}; recipe {escape(facts.run.recipe)}</p>",
        _figures(facts),
        "<h2>What was kept at each stage</h2>" + _funnel(facts),
        *([f"<h2>Iterations</h2>{_loop(facts.loop)}"] if facts.loop else []),
        *([f"<h2>Training</h2>{_trainings(facts)}"] if facts.trainings else []),
        "<h2>Scores and lengths</h2>" + _plots(facts),
        *([f"<h2>The judge, asked in both orders</h2>{_orders(facts)}"] if facts.orders() else []),
        "<h2>What it cost</h2>" + _cost(facts),
        "<h2>Pairs</h2>" + _pairs(facts, samples),
        "<h2>Dropped rows</h2>" + _dropped(facts, samples),
        f"<h2>Recipe</h2><pre>{escape(facts.recipe_text)}</pre>",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _figures(facts: Facts) -> str:
    read, written = facts.tokens
    pairs = facts.pairs
    told = {
        "pairs": f"{pairs:,}",
        "rows at the start": f"{facts.stages[0].rows_in if facts.stages else 0:,}",
        "tokens written": f"{written:,}",
        "tokens read": f"{read:,}",
        "seconds of work": f"{facts.seconds:,.0f}",
        "tokens written to a pair": f"{written / pairs:,.0f}" if pairs else "-",
    }
    return '<div class="figures">' + "".join(f"<div><b>{v}</b>{escape(k)}</div>" for k, v in told.items()) + "</div>"


def _funnel(facts: Facts) -> str:
    rows = []
    for stage in facts.stages:
        out = sum(stage.rows_out.values())
        dropped = ", ".join(f"{reason} {n}" for reason, n in sorted(stage.dropped.items(), key=lambda kv: -kv[1]))
        rows.append(
            (stage.stage, float(out), f"{stage.rows_in:,} in, {out:,} out" + (f"; dropped: {dropped}" if dropped else ""))
        )
    for name, parts in facts.run.exports.items():
        skipped = ", ".join(f"{reason} {n}" for reason, n in facts.run.skipped.get(name, {}).items())
        count = sum(part.rows for part in parts)
        rows.append((f"export {name}", float(count), f"{count:,} rows" + (f"; skipped: {skipped}" if skipped else "")))
    return plots.bars(rows)


def _loop(loop: dict) -> str:
    """I-SHEEP's iterations as a table, and what changed from one to the next as plots."""
    told = loop["iterations"]
    names = list(dict.fromkeys(name for one in told for name in one))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(one.get(name))}</td>" for name in names) + "</tr>" for one in told)
    shown = []
    for name, caption in (("exam", "Exam"), ("kept_share", "Share kept"), ("quality", "Marks"), ("loss", "Loss")):
        beside = {"quality": "following", "loss": "loss_held_out"}.get(name)
        series: dict[str, Sequence[tuple[float, float]]] = {
            n: [(one["iteration"], one[n]) for one in told if one.get(n) is not None] for n in (name, beside) if n
        }
        bands = [(one["iteration"], one["exam_low"], one["exam_high"]) for one in told if one.get("exam") is not None]
        if any(series.values()):
            plot = plots.lines(series, "iteration", name.replace("_", " "), bands if name == "exam" else ())
            shown.append(f"<figure>{plot}<figcaption>{caption}</figcaption></figure>")
    ended = f"; {escape(loop['stopped'])}" if loop["stopped"] else ""
    said = f"Setting {escape(loop['setting'])}; the best is iteration {loop['best']}, whose data are the dataset{ended}."
    table = f'<div class="table"><table><tr>{head}</tr>{body}</table></div>'
    return f'<p>{said}</p>{table}<div class="plots">{"".join(shown)}</div>'


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _trainings(facts: Facts) -> str:
    shown = []
    for stage, one in facts.trainings.items():
        plot = plots.lines({"trained on": one.losses, "held out": one.held_out_losses}, "step", "loss")
        told = (
            f"{stage}: {one.rows:,} rows, {one.held_out:,} held out, {one.parameters:,} weights trained, {one.seconds:,.0f} s"
        )
        shown.append(f"<figure>{plot}<figcaption>{escape(told)}</figcaption></figure>")
    return f'<div class="plots">{"".join(shown)}</div>'


def _plots(facts: Facts) -> str:
    pairs = facts.exports.get("default", pl.DataFrame())
    if not pairs.height:
        return '<p class="none">There are no pairs.</p>'
    side = {name: lengths(pairs, name) for name in ("prompt", "chosen", "rejected")}
    longer_N = side["chosen"].astype(np.int64) - side["rejected"]
    margin_N = pairs["score_margin"].to_numpy()
    both = {"chosen": pairs["score_chosen"].to_numpy(), "rejected": pairs["score_rejected"].to_numpy()}
    share = float((longer_N > 0).mean())
    shown = [
        (plots.histogram(both, "score"), "Scores of both sides"),
        (plots.histogram({"margin": margin_N}, "score_chosen - score_rejected"), "How clear the pairs are"),
        (plots.histogram({"chosen": side["chosen"], "rejected": side["rejected"]}, "characters"), "Lengths of both sides"),
        (plots.histogram({"prompt": side["prompt"]}, "characters"), "Lengths of prompts"),
        (
            plots.scatter(longer_N, margin_N, "chosen longer by, characters", "margin"),
            f"The chosen side is longer in {share:.0%} of pairs (correlation with the margin {_correlation(longer_N, margin_N)})",
        ),
        *_told_scores(facts),
    ]
    return (
        '<div class="plots">'
        + "".join(f"<figure>{p}<figcaption>{escape(t)}</figcaption></figure>" for p, t in shown)
        + "</div>"
    )


def _told_scores(facts: Facts) -> list[tuple[str, str]]:
    """A histogram for every name of score, with how many rows had none."""
    found = []
    for (name,), group in facts.scores.group_by("name", maintain_order=True):
        none = group["value"].null_count()
        told = f"All {group.height:,} scores `{name}`" + (f", {none:,} without a value" if none else "")
        found.append((plots.histogram({str(name): group["value"].drop_nulls().to_numpy()}, str(name)), told))
    return found


def _correlation(a_N: np.ndarray, b_N: np.ndarray) -> str:
    return f"{np.corrcoef(a_N, b_N)[0, 1]:+.2f}" if len(a_N) > 2 and a_N.std() > 0 and b_N.std() > 0 else "undefined"


def _orders(facts: Facts) -> str:
    told = facts.orders() or {}
    rows = [
        ("verdict stayed", told["order_agreement"], f"{told['order_agreement']:.1%}"),
        ("verdict flipped", told["flip_rate"], f"{told['flip_rate']:.1%}"),
        ("no verdict", told["no_verdict_share"], f"{told['no_verdict_share']:.1%}"),
    ]
    lean = f"{told['matches']:,.0f} comparisons; the first place is favoured by {told['favour_of_place_a']:+.3f}, which averaging takes out."
    return plots.bars(rows) + f"<p class=soft>{lean}</p>"


def _cost(facts: Facts) -> str:
    rows = [
        f"<tr><td>{escape(s.stage)}</td><td>{s.tokens_in:,}</td><td>{s.tokens_out:,}</td><td>{s.seconds:,.1f}</td>"
        f"<td>{s.tokens_out / s.seconds if s.seconds else 0:,.0f}</td></tr>"
        for s in facts.stages
    ]
    head = "<tr><th>stage</th><th>tokens read</th><th>written</th><th>seconds</th><th>written/s</th></tr>"
    return f'<div class="table"><table>{head}{"".join(rows)}</table></div>'


def _pairs(facts: Facts, samples: int) -> str:
    pairs = facts.exports.get("default", pl.DataFrame())
    shown = []
    for row in pairs.head(samples).iter_rows(named=True) if pairs.height else ():
        asked = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in row["prompt"])
        sides = "".join(
            f"<div><p class=soft>{side}, {row[f'score_{side}']:.3g}</p><pre>{_text(row[side][-1]['content'])}</pre></div>"
            for side in ("chosen", "rejected")
        )
        shown.append(f'<div class="pair"><pre>{_text(asked)}</pre><div class="sides">{sides}</div></div>')
    return "".join(shown) or '<p class="none">none</p>'


def _dropped(facts: Facts, samples: int) -> str:
    shown = []
    for (stage, reason), group in facts.drops.group_by("stage", "reason", maintain_order=True):
        row = group.row(0, named=True)
        detail = f": {escape(row['detail'])}" if row["detail"] else ""
        shown.append(
            f"<p class=soft>{escape(str(stage))}, {escape(str(reason))} ({group.height:,}){detail}</p><pre>{_text(row['text'])}</pre>"
        )
    return "".join(shown[: 3 * samples]) or '<p class="none">none</p>'


def _text(text: str) -> str:
    """A text for a reader: control characters made visible, its end cut off if it is long."""
    shown = "".join(c if c in "\n\t" or c.isprintable() else f"\\u{ord(c):04x}" for c in text[:SHOWN])
    return escape(shown + (" [...]" if len(text) > SHOWN else ""))
