"""CLO and private-credit portfolios as one differentiable JAX program: `import clo_gen as cg`.

The public names stand in `__init__.pyi`, with where each comes from. They are loaded on first use,
so that importing the package is cheap and changes nothing global: no x64 switch, no device set-up.
Entry points (the command line, tests) do that. Folders and modules are reached the same way:
`cg.records`, `cg.gradients`, `cg.hypo`, `cg.risk`.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
