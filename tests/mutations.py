"""Deterministic ways to break a file: its bytes, its lines, its table, its TOML or JSON data."""

import datetime
import json
import tomllib

import tomli_w

TEXTS = ("", " ", "nan", "NaN", "inf", "-inf", "1e400", "-1e400", "1e308", "1e-320", "-1", "0",
         "-0", "99999999999999999999", "1,5", "1.2.3", "0x1F", "1_000", "true", "null", "None",
         "#REF!",
         "2025-02-30", "0001-01-01", "9999-12-31", "2025-13-01", "31/12/2025", "\u0661\u0662",
         "<script>alert(1)</script>", "=1+1", "@SUM(A1)", "../../etc/passwd", "/etc/passwd", "CON",
         "a" * 5_000, "x" * 20_000, "\u202e\u05d0", "\U0001f4a5", "e\u0301", "'", '"',
         "$\\frac{1}$",
         "\x1b[31mred", "a;b", "a\tb", "-", "9" * 400)
VALUES = (None, True, -1, 0, 1, 10**18, 10**30, -5, 1.5, 1e308, -1e308, 1e-308, 5e-324,
          float("nan"), float("inf"), "", "x", "x" * 20_000, [], [[]], {}, {"a": {"b": 1}},
          [1, "a"], "2025-01-15",
          datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(2025, 10, 15),
          datetime.datetime(2025, 10, 15, 12), datetime.time(12), "../x", "=1+1", "\u202e\u05d0")
SEPARATORS = (b";", b"\t", b"|", b" ", b",,")


def truncated(data, r):
    return data[: r.randrange(len(data) + 1)]


def flipped(data, r):
    out = bytearray(data)
    for _ in range(r.choice((1, 1, 3, 20))):
        out[r.randrange(len(out))] = r.randrange(256)
    return bytes(out)


def with_bytes(data, r):
    at = r.randrange(len(data) + 1)
    new = r.choice((b"\0", b"\xff\xfe", b"\r", b"\n\n", b'"', b"'", b"\\", b"\xef\xbb\xbf",
                    b"[" * 50_000, b"{" * 5_000, r.randbytes(200), b"a.b." * 20_000, b"9" * 10_000,
                    b"&x;", b"<a>"))
    return data[:at] + new + data[at:]


def other_encoding(data, r):
    try:
        text = data.decode("utf-8")
        return text.encode(r.choice(("utf-16", "utf-32", "utf-7", "utf-8-sig")))
    except UnicodeError:
        return data[::-1]


def binary(data, r):
    return r.choice((b"", r.randbytes(2_000), b"\0" * 5_000, b"PK\x03\x04" + r.randbytes(500),
                     b"\x89PNG\r\n\x1a\n" + r.randbytes(500), b"PAR1" + r.randbytes(300) + b"PAR1"))


def long_line(data, r):
    unit = r.choice((b"x", b",", b"[", b"1,", b'"', b"a="))
    return data + b"\n" + unit * r.choice((10_000, 1_500_000))


def lines_changed(data, r):
    lines = data.split(b"\n")
    at, to = r.randrange(len(lines)), r.randrange(len(lines))
    kind = r.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(to, lines[at])
    elif kind == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == 3:
        lines[at] = lines[at][: len(lines[at]) // 2]
    else:
        lines[at:at] = [lines[at]] * 300
    return b"\n".join(lines)


def word_changed(data, r):
    """One word of the text (between separators) replaced."""
    text = data.decode("utf-8", "replace")
    starts = [i for i, c in enumerate(text) if c in ",= |>\n"]
    at = r.choice(starts) + 1 if starts else 0
    end = next((i for i in range(at, len(text)) if text[i] in ",\n|<#"), len(text))
    return (text[:at] + r.choice(TEXTS) + text[end:]).encode("utf-8", "surrogatepass")


BYTES = (truncated, flipped, with_bytes, other_encoding, binary, long_line, lines_changed,
         word_changed, word_changed)


def _rows(data, separator):
    return [line.split(separator) for line in data.decode("utf-8", "replace").splitlines()]


def _table(rows, separator):
    return "\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass")


def cell(data, r, separator=","):
    rows = _rows(data, separator)
    for _ in range(r.choice((1, 1, 2, 6))):
        row = r.choice(rows)
        row[r.randrange(len(row))] = r.choice(TEXTS)
    return _table(rows, separator)


def column(data, r, separator=","):
    """A column dropped, doubled, renamed, filled, swapped with another or added to."""
    rows = _rows(data, separator)
    at, to = r.randrange(len(rows[0])), r.randrange(len(rows[0]))
    kind, text = r.randrange(7), r.choice(TEXTS)
    for n, row in enumerate(rows):
        if max(at, to) >= len(row):
            continue
        if kind == 0:
            del row[at]
        elif kind == 1:
            row.insert(to, row[at])
        elif kind == 2 and n == 0:
            row[at] = text
        elif kind == 3 and n:
            row[at] = text
        elif kind == 4:
            row[at], row[to] = row[to], row[at]
        elif kind == 5 and n:
            row[at], row[to] = row[to], row[at]
        elif kind == 6:
            row.append(text)
    return _table(rows, separator)


def rows(data, r, separator=","):
    """Rows doubled, shuffled, shortened, lengthened, without header or without the rest."""
    found = _rows(data, separator)
    kind = r.randrange(7)
    if kind == 0:
        found += found[1:]
    elif kind == 1:
        head, rest = found[:1], found[1:]
        r.shuffle(rest)
        found = head + rest
    elif kind == 2:
        found = [row[: r.randrange(len(row) + 1)] if r.random() < 0.1 else row for row in found]
    elif kind == 3:
        found = [row + [r.choice(TEXTS)] if r.random() < 0.1 else row for row in found]
    elif kind == 4:
        found = found[1:]
    elif kind == 5:
        found = found[:1]
    else:
        found += [found[-1]] * 2_000
    return _table(found, separator)


def other_separator(data, r, separator=","):
    return data.replace(separator.encode(), r.choice(SEPARATORS))


def pipes(change):
    """A change of a table, for one that vertical bars separate."""
    return lambda data, r: change(data, r, "|")


TABLE = (cell, cell, cell, column, column, rows, other_separator)
PIPED = tuple(pipes(change) for change in TABLE)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, child in items:
        yield from _paths(child, (*path, key))


def _changed(data, r):
    """`data` (dict) with one to three places replaced, dropped, doubled, renamed or moved."""
    for _ in range(r.choice((1, 1, 1, 3))):
        path = r.choice([p for p in _paths(data) if p] or [("x",)])
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        kind, value = r.randrange(7), r.choice((*VALUES, *TEXTS))
        if kind <= 2 or (isinstance(parent, list) and path[-1] >= len(parent)):
            if isinstance(parent, dict) or path[-1] < len(parent):
                parent[path[-1]] = value
        elif kind == 3:
            del parent[path[-1]]
        elif kind == 4 and isinstance(parent, dict):
            parent[r.choice(TEXTS)[:200] or "new"] = value
        elif kind == 5 and isinstance(parent, list):
            parent += [parent[path[-1]]] * r.choice((1, 1, 200))
        elif kind == 6:
            for _ in range(r.choice((3, 40, 120))):
                value = {"a": value} if r.random() < 0.5 else [value]
            parent[path[-1]] = value
    return data


def toml_data(data, r):
    changed = _changed(tomllib.loads(data.decode()), r)

    def plain(value):  # TOML has no null
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list) else (
            "null" if value is None else value)

    return tomli_w.dumps(plain(changed)).encode("utf-8", "surrogatepass")


def json_data(data, r):
    return json.dumps(_changed(json.loads(data), r), default=str).encode()


def json_text(data, r):
    """What only the text of JSON can say: keys twice, constants, comments, half characters."""
    text = data.decode()
    at = r.choice([i for i, c in enumerate(text) if c in "{["]) + 1
    new = r.choice(('"a": 1, "a": 2, ', "NaN, ", "1e999, ", "/* x */", '"\\ud800": 1, ',
                    "9" * 5_000 + ", ",
                    '"name": "\\ud800", ', '"x": NaN, ', '"x": -Infinity, ', '"closing": 5, '))
    return (text[:at] + new + text[at:]).encode()


TOML = (toml_data,) * 6
JSON = (json_data,) * 5 + (json_text,)


def _entities(data, r):
    """A document type before the data: entities that multiply, or that name a file."""
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    doctype = r.choice((f'<!DOCTYPE a [<!ENTITY e0 "x">{bomb}]>', "<!DOCTYPE a>",
                        '<!DOCTYPE a [<!ENTITY e8 SYSTEM "file:///etc/passwd">]>',
                        '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">'))
    head, _, rest = data.decode().partition("?>")
    at = rest.rindex("</") if r.random() < 0.5 else rest.index("<", rest.index(">") + 1)
    return (f"{head}?>{doctype}{rest[:at]}&e8;{rest[at:]}").encode()


def _tags(data, r):
    text = data.decode()
    at = r.choice([i for i, c in enumerate(text) if c == "<"])
    new = r.choice(("<a>", "</a>", "<a/>" * 3_000, "<b>" * 2_000, "<![CDATA[<x>]]>", "<!-- x -->",
                    "<assets>", "</assets>", "<assets></assets>" * 50,
                    "<reportingPeriodInterestRatePercentage>x</reportingPeriodInterestRatePercentage>",
                    "<zeroBalanceCode>4</zeroBalanceCode>", "<assetNumber>1</assetNumber>"))
    return (text[:at] + new + text[at:]).encode()


XML = (_entities, _tags, _tags, _tags)
