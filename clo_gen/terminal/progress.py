"""What the command line shows while it works."""

import contextlib
import re
import sys

from rich.console import Console


@contextlib.contextmanager
def stages(first):
    """Yields update(text), which names the stage a command is in; `first` is the first one's name.

    On a terminal a spinner shows the latest text. Elsewhere each stage is said once, as a line of
    stderr; a text that differs from the last one in its numbers alone is no new stage.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(first) as status:
            yield status.update
        return
    words = None

    def update(text):
        nonlocal words
        if (now := re.sub(r"[\d.,]+", "", text)) != words:
            words = now
            print(text, file=sys.stderr, flush=True)

    update(first)
    yield update
