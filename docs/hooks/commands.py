"""`<!-- commands -->` becomes the reference of every `clo-gen` command, read from the typer app."""

import re

import typer


def on_page_markdown(text, **_):
    if "<!-- commands -->" not in text:
        return text
    from clo_gen.cli import app

    parts = [_described(words, command) for words, command in leaves(typer.main.get_command(app))]
    return text.replace("<!-- commands -->", "\n".join(parts))


def leaves(command, words=("clo-gen",)):
    """(words, click command) of every command, in the order of --help."""
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from leaves(sub, (*words, name))
    else:
        yield words, command


def _described(words, command):
    about, _, examples = command.help.replace("\b", "").partition("Examples:")
    lines = "\n".join(line.strip() for line in examples.strip().splitlines())
    rows = [_row(p) for p in command.params if not getattr(p, "hidden", False)]
    return "\n".join([f"## {' '.join(words)}\n", re.sub(r"\s+", " ", about).strip() + "\n",
                      f"```sh\n{lines}\n```\n" if lines else "",
                      "| | default | |\n|---|---|---|", *rows, ""])


def _row(parameter):
    is_option = parameter.param_type_name == "option"
    names = ", ".join(f"`{o}`" for o in parameter.opts) if is_option else f"`{parameter.name}`"
    plain = parameter.default in (None, False) or callable(parameter.default)
    default = "required" if parameter.required else "" if plain else f"`{parameter.default}`"
    about = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    return f"| {names} | {default} | {about} |"
