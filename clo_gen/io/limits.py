"""How large and how deep a user's file may be: every limit, in one place.

They are far above what real files have. What they stop is a wrong file (a dump, an image, a device)
and a hostile one, before it fills the memory or keeps a parser busy for minutes.
"""

MB = 1_000_000

CONFIG_BYTES = 1 * MB  # TOML: deals, configs, limits, column maps
CONFIG_DOTS = 64  # dots within one key or value of a TOML file; a key of n parts costs n**2
JSON_BYTES = 100 * MB
DEPTH = 32  # tables within tables, lists within lists

TABLE_BYTES = 4000 * MB  # CSV and delimited files; also what a Parquet file unpacks to
TABLE_ROWS = 50_000_000
TABLE_COLUMNS = 2_000
LINE_BYTES = 1 * MB
FIELD = 10_000  # characters of a cell

XML_BYTES = 4000 * MB
XML_FIELDS = 500  # of one asset
CHECKPOINT_BYTES = 8000 * MB  # unpacked

LARGEST = 1e15  # of a number in a table, in size: sums of such numbers are still exact enough
DIGITS = 30  # of a whole number in JSON
FIRST_YEAR, LAST_YEAR = 1900, 2200  # of a date

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # of what becomes a file or folder
# Names that Windows keeps for devices, with any ending.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt")
                                          for n in range(1, 10))}
