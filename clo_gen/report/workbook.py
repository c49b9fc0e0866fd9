"""tables.xlsx: the tables of a run as a workbook; text from data stays text."""

import datetime

import xlsxwriter

SHEET_NAME = 31  # characters that a spreadsheet allows
TEXT = 32_000  # characters that a cell allows, nearly


def write_workbook(path, sheets):
    """Writes `sheets` {name: (columns, rows)}; numbers are numbers, None is blank, and text that
    begins like a formula or a link stays text."""
    book = xlsxwriter.Workbook(str(path), {
        "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "nan_inf_to_errors": False, "in_memory": True})
    # The same content gives the same bytes.
    book.set_properties({"title": "clo_gen", "created": datetime.datetime(2000, 1, 1)})
    bold, wrap = book.add_format({"bold": True, "bottom": 1}), book.add_format({"text_wrap": True})
    for name, (columns, rows) in sheets.items():
        sheet = book.add_worksheet(name[:SHEET_NAME])
        sheet.freeze_panes(1, 1)
        for c, column in enumerate(columns):
            sheet.write_string(0, c, str(column), bold)
        for r, row in enumerate(rows, 1):
            for c, value in enumerate(row):
                _write(sheet, r, c, value, wrap)
        sheet.autofit(300)
    book.close()


def _write(sheet, r, c, value, wrap):
    if value is None or value != value:
        sheet.write_blank(r, c, None)
    elif isinstance(value, bool):
        sheet.write_boolean(r, c, value)
    elif isinstance(value, int | float):
        sheet.write_number(r, c, value)
    else:
        text = str(value)[:TEXT]
        sheet.write_string(r, c, text, wrap if len(text) > 60 else None)
