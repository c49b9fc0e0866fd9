"""`<!-- public names -->` becomes a mkdocstrings entry for every name of `import clo_gen as cg`."""

import sys
import types


def on_page_markdown(text, **_):
    if "<!-- public names -->" not in text:
        return text
    import clo_gen

    entries = []
    for name in clo_gen.__all__:
        value = getattr(clo_gen, name)
        if not isinstance(value, types.ModuleType):
            entries.append(f"::: {_place(name, value)}\n    options: {{show_source: true}}\n")
    return text.replace("<!-- public names -->", "\n".join(entries))


def _place(name, value):
    """Dotted path of the definition; of a constant, of the module that has it first."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    where = sorted(m for m, module in sys.modules.items()
                   if m.startswith("clo_gen.") and vars(module).get(name) is value)
    return f"{min(where, key=len)}.{name}"
