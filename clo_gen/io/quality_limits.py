"""Limits of a deal's quality and concentration tests: TOML -> records, every complaint at once.

A limit left out is no limit. Shares are fractions of par (of `basis`, where it is given).
"""

import datetime
import functools
import pathlib
import re
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from clo_gen.io.tables import data_path
from clo_gen.io.toml import Record, load_toml, parse

Share = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
_LADDER = "exceptions such as \"5x0.025\" or \"1x0.15;2x0.12\": how many (1 to 100) x a share"


@functools.cache
def notches() -> dict[str, int]:
    """{rating of Moody's, S&P or DBRS: notch 1..21}; a bare letter is its middle notch."""
    scale = pd.read_csv(data_path("rating_scale.csv"))
    rows = zip(*(scale[c] for c in ("rating_int", "sp", "moodys", "dbrs")), strict=True)
    names = {name: notch for notch, *agencies in rows for name in agencies}
    bare = {name[:-1]: notch for name, notch in names.items() if name.endswith("2")}
    return bare | names


def _rating(name):
    if name not in notches():
        raise ValueError("a notch of Moody's (B3), S&P (B-) or DBRS (B (low))")
    return name


def _ladder(text):
    """"1x0.15;2x0.12" as the falling shares (0.15, 0.12, 0.12)."""
    parts = [re.fullmatch(r"\s*(\d{1,3})\s*x\s*(0?\.\d+|1(?:\.0*)?)\s*", part)
             for part in text.split(";")]
    units = [(int(p[1]), float(p[2])) for p in parts if p]
    if len(units) < len(parts) or not all(1 <= n <= 100 and share > 0 for n, share in units):
        raise ValueError(_LADDER)
    return tuple(sorted((share for n, share in units for _ in range(n)), reverse=True))


Ladder = Annotated[str, AfterValidator(_ladder)]


class GroupTerms(Record):
    """At most `max` of par in loans that meet every criterion given."""

    name: Annotated[str, Field(min_length=1)]
    max: Share
    rating_below: Annotated[str, AfterValidator(_rating)] | None = None  # "B3": Caa1 or below
    cov_lite: bool | None = None
    countries_outside: Names | None = None
    liens: Annotated[tuple[Literal["first", "second", "unsecured"], ...],
                     Field(min_length=1)] | None = None
    rate_type: Literal["fixed", "float"] | None = None
    payment_frequencies: Annotated[
        tuple[Literal["monthly", "quarterly", "semiannual", "annual"], ...],
        Field(min_length=1)] | None = None
    matures_after: datetime.date | None = None

    @model_validator(mode="after")
    def _has_criterion(self):
        if not self.criteria():
            raise ValueError("at least one of " + ", ".join(self._names()))
        return self

    @classmethod
    def _names(cls):
        return [name for name in cls.model_fields if name not in ("name", "max")]

    def criteria(self) -> dict[str, Any]:
        """{key: what it asks for} of the criteria given."""
        given = {name: getattr(self, name) for name in self._names()}
        return {name: value for name, value in given.items() if value is not None}


class LimitTerms(Record):
    """[limits]. The `warf_max` moves by `warf_points_per_recovery` for each percentage point by
    which the weighted average recovery is above `warf_recovery_base`."""

    basis: Annotated[float, Field(gt=0)] | None = None  # currency, cash included; else par
    diversity_min: Annotated[float, Field(ge=0)] | None = None
    warf_max: Annotated[float, Field(gt=0, le=10_000)] | None = None
    warf_points_per_recovery: Annotated[float, Field(ge=0)] | None = None
    warf_recovery_base: Annotated[Share | None, Field(validate_default=True)] = None
    was_min_bps: Annotated[float, Field(ge=0, le=5000)] | None = None
    warr_min: Share | None = None
    wal_max_years: Annotated[float, Field(gt=0, le=50)] | None = None
    obligor_max: Share | None = None
    obligor_exceptions: Ladder = ()
    industry_max: Share | None = None
    industry_exceptions: Ladder = ()
    groups: tuple[GroupTerms, ...] = ()

    @field_validator("warf_recovery_base")
    @classmethod
    def _modifier_is_whole(cls, base, info: ValidationInfo):
        others = [info.data.get(key, 0.0) is not None for key in
                  ("warf_points_per_recovery", "warf_max")]  # a bad one has its own complaint
        if (base is not None and not all(others)) or (base is None and others[0]):
            raise ValueError("warf_recovery_base together with warf_points_per_recovery and "
                             "warf_max")
        return base

    @field_validator("obligor_exceptions", "industry_exceptions")
    @classmethod
    def _above_base(cls, exceptions, info: ValidationInfo):
        key = str(info.field_name).replace("exceptions", "max")
        base = info.data.get(key, 0.0)  # a bad base has its own complaint
        if base is None or min(exceptions) <= base:
            raise ValueError(f"shares above {key}" + ("" if base is None else f" ({base:g})"))
        return exceptions

    @field_validator("groups")
    @classmethod
    def _different_names(cls, groups):
        names = [group.name for group in groups]
        if len(set(names)) < len(names):
            raise ValueError("groups with different names")
        return groups


class LimitsFile(Record):
    name: str = ""
    source: str = ""
    limits: LimitTerms


def read_limits(path: str | pathlib.Path) -> LimitTerms:
    """LimitTerms of a TOML file. Raises InputError with key, value and what is accepted."""
    return parse(load_toml(path), LimitsFile, path).limits
