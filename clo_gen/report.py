"""report.html: one self-contained page; every string from data is escaped by the template."""

import base64

import jinja2

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ s.name }} - clo_gen</title>
<style>
:root { color-scheme: light dark; --ink:#1c2733; --soft:#5d6b7a; --line:#d9dfe6; --bg:#fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6ebf0; --soft:#9aa8b6; --line:#33404d; --bg:#141b22; }
  img { background:#fff; border-radius:4px } }
body { font:15px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--bg);
  max-width:1080px; margin:2rem auto; padding:0 1rem }
h1 { font-size:1.6rem; margin-bottom:.2rem } h2 { font-size:1.15rem; margin-top:2.2rem }
p.lead { color:var(--soft); margin-top:0 }
div.wide { overflow-x:auto }
table { border-collapse:collapse; width:100%; font-size:.86rem }
th,td { padding:.3rem .55rem; border-bottom:1px solid var(--line); text-align:right;
  white-space:nowrap }
th:first-child,td:first-child { text-align:left }
td.text,th.text { text-align:left; white-space:normal }
img { max-width:100%; height:auto }
.tag { padding:.05rem .45rem; border-radius:.6rem; font-size:.78rem; border:1px solid }
.real { color:#2a7f4f } .synthetic { color:#b8412f } .user { color:#3b6ea5 }
</style></head><body>
<h1>{{ s.deal.name }} under {{ s.scenarios|length }} scenarios</h1>
<p class="lead">{{ "{:,}".format(s.paths) }} paths a scenario, mode {{ s.mode }}, seed {{ s.seed }},
{{ s.deal.currency }} {{ "{:,.0f}".format(s.deal.par) }} of par.
Cash in equals cash out to {{ "%.1e"|format(s.cash_conservation_error) }} of par.</p>
<h2>Where the data comes from</h2>
<div class="wide"><table><tr><th>input</th><th class="text">kind</th>
<th class="text">source</th></tr>
{% for name, d in s.data.items() %}<tr><td>{{ name }}</td>
<td class="text"><span class="tag {{ d.kind }}">{{ d.kind }}</span></td>
<td class="text">{{ d.source }}
{%- for n in d.notes %}<br><small>{{ n }}</small>{% endfor %}</td></tr>
{% endfor %}</table></div>

<h2>Pool</h2>
<div class="wide"><table><tr><th>scenario</th><th>expected loss</th><th>&plusmn;</th>
<th>VaR 90</th><th>VaR 95</th><th>VaR 99</th><th>VaR 99.9</th>
<th>CVaR 99</th><th>&plusmn;</th><th>CVaR 99.9</th>
{% for y in range(5) %}<th>defaults y{{ y + 1 }}</th>{% endfor %}</tr>
{% for name, c in s.scenarios.items() %}{% set p = c.portfolio %}<tr><td>{{ name }}</td>
<td>{{ pct(p.expected_loss) }}</td><td>{{ pct(p.std_error) }}</td>
<td>{{ pct(p.var_90) }}</td><td>{{ pct(p.var_95) }}</td><td>{{ pct(p.var_99) }}</td>
<td>{{ pct(p.var_99_9) }}</td><td>{{ pct(p.cvar_99) }}</td><td>{{ pct(p.cvar_99_std_error) }}</td>
<td>{{ pct(p.cvar_99_9) }}</td>
{% for y in range(5) %}<td>{{ pct(p.default_rate_by_year[y]) if y < p.default_rate_by_year|length
else "" }}</td>{% endfor %}</tr>
{% endfor %}</table></div>

<h2>Classes</h2>
{% for name, c in s.scenarios.items() %}<h3>{{ name.replace("_", " ") }}</h3>
<div class="wide"><table><tr><th>class</th><th>enhancement</th><th>OC at closing</th>
<th>P(loss)</th><th>&plusmn;</th><th>expected loss</th><th>unpaid interest</th><th>WAL, years</th>
<th>IRR mean</th><th>IRR median</th><th>price</th></tr>
{% for k, t in c.tranches.items() %}<tr><td>{{ k }}</td>
<td>{{ pct(s.deal.credit_enhancement[k]) }}</td><td>{{ pct(s.deal.closing_oc_ratio.get(k)) }}</td>
<td>{{ pct(t.loss_probability) }}</td><td>{{ pct(t.loss_probability_std_error) }}</td>
<td>{{ pct(t.expected_loss) }}</td><td>{{ pct(t.expected_unpaid_interest) }}</td>
<td>{{ "%.2f"|format(t.wal_years) if t.wal_years is not none else "never" }}</td>
<td>{{ pct(t.irr) }}</td><td>{{ pct(t.irr_median) }}</td><td>{{ pct(t.price) }}</td></tr>
{% endfor %}</table></div>
{% endfor %}

{% for caption, image in images.items() %}<h2>{{ caption }}</h2>
<img alt="{{ caption }}" src="data:image/png;base64,{{ image }}">
{% endfor %}

<h2>Held-out check of the transition model</h2>
{% set t = e.transitions %}
<p>Fitted {{ t.fitted }}, tested {{ t.tested }}: {{ "{:,.0f}".format(t.obligor_months) }}
obligor-months, {{ "%.0f"|format(t.defaults_seen) }} defaults. {{ t.verdict }}.
Note: {{ t.caveat }}.</p>
<div class="wide"><table><tr><th>model</th><th>log-likelihood an obligor-month</th>
<th>against the constant matrix</th><th>&plusmn;</th><th>defaults expected</th></tr>
{% for m in t.models.values() %}<tr><td class="text">{{ m.model }}</td>
<td>{{ "%.5f"|format(m.log_likelihood) }}</td><td>{{ "%+.5f"|format(m.difference) }}</td>
<td>{{ "%.5f"|format(m.difference_error) }}</td><td>{{ "%.1f"|format(m.defaults_expected) }}</td>
</tr>{% endfor %}</table></div>

<h2>Definitions</h2>
<div class="wide"><table>{% for k, v in s.definitions.items() %}<tr><td>{{ k }}</td>
<td class="text">{{ v }}</td></tr>{% endfor %}</table></div>
<p class="lead">{% for k, v in s.versions.items() %}{{ k }} {{ v }}{{ ", " if not loop.last }}
{%- endfor %}.</p>
</body></html>
"""


def _percent(x):
    return "" if x is None else f"{100 * x:.2f}%"


def write_report(summary, evaluation, figures, path):
    """Writes the page; `figures` {caption: PNG path} are embedded."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals["pct"] = _percent
    images = {caption: base64.b64encode(png.read_bytes()).decode()
              for caption, png in figures.items()}
    page = environment.from_string(_TEMPLATE).render(s=summary, e=evaluation, images=images)
    path.write_text(page, encoding="utf-8")
