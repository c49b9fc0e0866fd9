"""Slow hypothetical pools: plain loops over obligors, to check clo_gen.hypo against.

Percentages are fractions of the pool, largest first; ratings are 1..R; industries start at 0.
"""

import math

EPS = 1e-9
GRID, BISECT, MONITOR_BISECT = 128, 40, 60
LOCAL_STEP, LOCAL_MAX = 1e-4, 100


def score(x, table):
    """Diversity score of an industry with x equivalent units; table: (lower bound, score) rows."""
    found = table[0][1]
    for bound, value in table:
        if bound <= x + EPS:
            found = value
    return found


def diversity(pct, industry, table, n_codes):
    """Diversity score of a pool."""
    units = [0.0] * n_codes
    for p, code in zip(pct, industry, strict=True):
        units[code] += min(1.0, p * len(pct))
    return sum(score(x, table) for x in units)


def shares(o, exceptions):
    """Obligor percentages: the exceptions, then the base o, then the tail of two."""
    out, left = [], 1.0
    for x in exceptions:
        x = min(x, left)
        if x <= EPS:
            break
        out.append(x)
        left = 1.0 - sum(out)
    k = math.floor(left / o + EPS)
    r = left - k * o
    if r <= EPS:
        out += [o] * k
    elif k == 0:
        out.append(r)
    else:
        out += [o] * (k - 1) + [(o + r) / 2] * 2
    total = sum(out)
    return [x / total for x in out]


def industries_of(pct, ind_exceptions, ind_base, n_codes):
    """Industry of each obligor: next-fit from the largest, exceptions first."""
    out, counter, load = [], 0, 0.0
    for p in pct:
        cap = ind_exceptions[counter] if counter < len(ind_exceptions) else ind_base
        if load > 0 and load + p > cap + EPS:
            counter, load = counter + 1, 0.0
        load += p
        out.append(counter % n_codes)
    return out


def simple_industries(pct, n_simple_industry):
    """Industry of each obligor in the simple mode: a repeating sequence."""
    return [k % n_simple_industry for k in range(len(pct))]


def _prefix(pct, limit):
    """How many of the first obligors stay within the limit together."""
    total = 0.0
    for k, p in enumerate(pct):
        total += p
        if total > limit + EPS:
            return k
    return len(pct)


def _belly(pct, target, table):
    """Two adjacent ratings, the worse one on the largest, for a score of at most the target."""
    weight = sum(pct)
    level = target / weight
    if level >= table[-1]:
        return [len(table)] * len(pct)
    if level <= table[0]:
        return [1] * len(pct)
    r = 1
    while table[r] <= level:
        r += 1
    theta = (level - table[r - 1]) / (table[r] - table[r - 1])
    worse = _prefix(pct, theta * weight)
    return [r + 1] * worse + [r] * (len(pct) - worse)


def overlay(pct, target, table, force_high=None, force_low=None):
    """Ratings for a target score: the worst lock on the largest, the best on the smallest."""
    low = _prefix(pct, force_low[1]) if force_low else 0
    high = _prefix(pct[low:][::-1], force_high[1]) if force_high else 0
    first = [force_low[0]] * low if low else []
    last = [force_high[0]] * high if high else []
    belly = pct[low:len(pct) - high]
    if not belly:
        return first + last
    locked = risk_score(pct[:low], first, table)
    locked += risk_score(pct[len(pct) - high:], last, table)
    return first + _belly(belly, target - locked, table) + last


def risk_score(pct, rating, table):
    """Par-weighted average risk score."""
    return sum(p * table[r - 1] for p, r in zip(pct, rating, strict=True))


def dispersion(pct, rating, table):
    """Mean absolute deviation of the risk scores."""
    mean = risk_score(pct, rating, table)
    return sum(p * abs(table[r - 1] - mean) for p, r in zip(pct, rating, strict=True))


class _Deal:
    """Limits of a deal as shares of the pool, and the pools they allow."""

    def __init__(self, scale, ob, ind, n_codes, n_simple, dscore_min, dscore_table):
        self.ob, self.ind = [x * scale for x in ob], [x * scale for x in ind]
        self.n_codes, self.n_simple = n_codes, n_simple
        self.dscore_min, self.table = dscore_min, dscore_table

    def bases(self, t):
        """Base limits at a point of the way from the maximum (0) to the floor (1)."""
        ob, ind = [a + t * (b - a) for a, b in (self.ob, self.ind)]
        return ob, (self.ind[0] if self.n_simple else ind)

    def pool(self, t, ob_ex, ind_ex):
        """Percentages, industries and diversity of the pool at t with the kept exceptions."""
        ob, ind = self.bases(t)
        pct = shares(ob, ob_ex)
        if self.n_simple:
            industry, codes = simple_industries(pct, self.n_simple), self.n_simple
        else:
            industry, codes = industries_of(pct, ind_ex, ind, self.n_codes), self.n_codes
        return pct, industry, diversity(pct, industry, self.table, codes)

    def passes(self, t, ob_ex, ind_ex):
        return self.pool(t, ob_ex, ind_ex)[2] >= self.dscore_min - EPS

    def inner(self, ob_ex, ind_ex):
        """The first passing t of the grid, made finer by bisection; None if none passes."""
        for k in range(GRID + 1):
            if self.passes(k / GRID, ob_ex, ind_ex):
                break
        else:
            return None
        if k == 0:
            return 0.0
        return _bisect(lambda t: self.passes(t, ob_ex, ind_ex), k / GRID, (k - 1) / GRID, BISECT)

    def partial(self, ob_ex, keep, ind_ex):
        """The largest size of the exception after the kept ones that passes at the floors."""
        return _bisect(lambda p: self.passes(1.0, ob_ex[:keep] + [p], ind_ex),
                       self.bases(1.0)[0], ob_ex[keep], BISECT)

    def search(self, ob_ex, ind_ex):
        """(stage, t, obligor exceptions, industry exceptions) of the solution."""
        t = self.inner(ob_ex, ind_ex)
        if t is not None:
            return "inner", t, ob_ex, ind_ex
        for keep in range(len(ob_ex) - 1, -1, -1):
            if self.passes(1.0, ob_ex[:keep], ind_ex):
                kept = ob_ex[:keep] + [self.partial(ob_ex, keep, ind_ex)]
                return "partial", 1.0, kept, ind_ex
        for keep in range(len(ind_ex) - 1, -1, -1):
            t = self.inner([], ind_ex[:keep])
            if t is not None:
                return "industry", t, [], ind_ex[:keep]
        return "fail", 1.0, [], []


def _bisect(passes, good, bad, steps):
    """The passing end after halving the way between a passing and a failing point."""
    for _ in range(steps):
        middle = (good + bad) / 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def _exceptions(sizes, base, scale):
    """Those above the base, largest first, as shares of the pool and at most all of it."""
    return [min(x * scale, 1.0) for x in sorted(sizes, reverse=True) if x > base]


def discrete(pool_par, conc_limit_basis, dscore_min, ob_max, ind_max, riskscore_max,
             ob_exceptions, ind_exceptions, ob_floor, ind_floor, risk_score_tbl, dscore_table,
             n_codes, force_high=None, force_low=None, is_simple_industry=False,
             n_simple_industry=40):
    """The most concentrated pool with the diversity score, rated up to the risk score."""
    scale = conc_limit_basis / pool_par
    deal = _Deal(scale, (ob_max, ob_floor), (ind_max, ind_floor), n_codes,
                 n_simple_industry if is_simple_industry else 0, dscore_min, dscore_table)
    ob_ex = _exceptions(ob_exceptions, ob_max, scale)
    ind_ex = [] if is_simple_industry else _exceptions(ind_exceptions, ind_max, scale)
    stage, t, ob_ex, ind_ex = deal.search(ob_ex, ind_ex)
    pct, industry, dscore = deal.pool(t, ob_ex, ind_ex)
    rating = overlay(pct, riskscore_max, risk_score_tbl, force_high, force_low)
    realized = risk_score(pct, rating, risk_score_tbl)
    ob_base, ind_base = deal.bases(t)
    return {"is_solve": stage != "fail" and realized <= riskscore_max + EPS,
            "dscore": dscore, "riskscore": realized,
            "ob_base": ob_base / scale, "ind_base": ind_base / scale,
            "ob_exceptions": [x / scale for x in ob_ex],
            "ind_exceptions": [x / scale for x in ind_ex],
            "stage": stage, "t": t, "n_obligors": len(pct), "n_industries": len(set(industry)),
            "pct": pct, "industry": industry, "rating": rating}


def bdr(coef, was, warr):
    """Break-even default rate of the monitor's formula."""
    return coef[0] + coef[1] * was + coef[2] * warr


def adjusted_bdr(rate, target_par, par, warr):
    """Break-even default rate after a gain or loss of par."""
    return rate * target_par / par + (par - target_par) / (par * (1.0 - warr))


def default_rate(row, years):
    """Cumulative default rate between the integer years: 0 at 0, flat after the last."""
    if years >= len(row):
        return row[-1]
    knots, year = [0.0, *row], int(years)
    return knots[year] + (years - year) * (knots[year + 1] - knots[year])


def _effective_number(pct, label):
    """One over the sum of the squared shares of the labels."""
    share = {}
    for p, name in zip(pct, label, strict=True):
        share[name] = share.get(name, 0.0) + p
    return 1.0 / sum(x * x for x in share.values())


def measures(pct, industry, region, level_by_rating, rating, wal):
    """The monitor's measures; a level is a rating factor or a default rate."""
    return {"level": risk_score(pct, rating, level_by_rating),
            "drd": dispersion(pct, rating, level_by_rating),
            "odm": _effective_number(pct, range(len(pct))),
            "idm": _effective_number(pct, industry),
            "rdm": _effective_number(pct, region),
            "wal": wal}


def sdr(run_mode, m, coef):
    """Scenario default rate of the measures."""
    rest = (m["odm"], m["idm"], m["rdm"])
    if run_mode == "SP_WARF":
        out = coef[0] + m["level"] / coef[1] - m["drd"] / coef[2] + m["wal"] / coef[6]
        for x, c in zip(rest, coef[3:6], strict=True):
            out -= x / c
        return out
    if run_mode != "EPDR":
        raise ValueError(f"unknown run mode {run_mode}")
    out = coef[0] + coef[1] * m["level"] - coef[2] * m["drd"] - coef[6] * m["wal"]
    for x, c in zip(rest, coef[3:6], strict=True):
        out += c / x
    return out


def _worst_score(gap, rs_abs_max, rs_bound_lower, rs_bound_higher):
    """(stage, score) of the worst rating mixture with a gap between the default rates."""
    if gap(rs_abs_max) >= 0:
        return "max_passes", rs_abs_max
    low, high = rs_bound_lower, min(rs_bound_higher, rs_abs_max)
    if not gap(low) > 0:
        return "min_fails", low
    if gap(high) > 0:
        return "upper_bound_passes", high
    start = _bisect(lambda x: gap(x) > 0, low, high, MONITOR_BISECT)
    for j in range(LOCAL_MAX + 1):
        trial = start - j * LOCAL_STEP * (high - low)
        if gap(trial) > 0:
            return "bisection", trial
    raise AssertionError("the passing end of the bisection does not pass")


def formula(pct, industry, region, run_mode, rs_abs_max, coef_bdr, coef_sdr, risk_score_tbl,
            IDT_sp, WARF_sp, rvst_target_par, collat_prin_amt, was, warr, wal, rs_bound_lower,
            rs_bound_higher, monitor_cushion=None, force_high=None, force_low=None):
    """The worst rating mixture of a pool whose break-even rate covers the scenario rate."""
    region = [0] * len(pct) if region is None else region
    levels = (WARF_sp if run_mode == "SP_WARF"
              else [default_rate(row, wal) for row in IDT_sp])
    rate = bdr(coef_bdr, was, warr)
    adjusted = adjusted_bdr(rate, rvst_target_par, collat_prin_amt, warr)

    def rated(target):
        rating = overlay(pct, target, risk_score_tbl, force_high, force_low)
        diag = measures(pct, industry, region, levels, rating, wal)
        return rating, diag, sdr(run_mode, diag, coef_sdr)

    stage, solution = _worst_score(
        lambda x: adjusted - (monitor_cushion or 0.0) - rated(x)[2],
        rs_abs_max, rs_bound_lower, rs_bound_higher)
    rating, diag, needed = rated(solution)
    realized = risk_score(pct, rating, risk_score_tbl)
    complies = realized <= rs_abs_max + EPS * risk_score_tbl[-1]  # locks may push it beyond
    return {"is_solve": stage != "min_fails" and complies, "riskscore_solution": solution,
            "riskscore_realized": realized,
            "credit_dispersion": dispersion(pct, rating, risk_score_tbl),
            "adj_bdr": adjusted, "bdr": rate, "sdr": needed, "sdr_diag": diag,
            "stage": stage, "rating": rating}
