"""JSON files are strict: null where there is no number."""

import json

import numpy as np

from clo_gen.io.json_data import plain, write_json


def test_what_is_no_number_becomes_null_at_any_depth(tmp_path):
    data = {"a": np.array([1.0, np.nan]), "b": ({"c": -np.inf, "d": np.float32(0.5)}, np.int64(3)),
            "e": [float("inf"), None, "text", True, np.bool_(False)]}
    wanted = {"a": [1.0, None], "b": [{"c": None, "d": 0.5}, 3],
              "e": [None, None, "text", True, False]}
    assert plain(data) == wanted
    write_json(tmp_path / "x.json", data)
    assert json.loads((tmp_path / "x.json").read_text()) == wanted
