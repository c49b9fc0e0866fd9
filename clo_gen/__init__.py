"""CLO and private-credit portfolios as one differentiable JAX program: `import clo_gen as cg`.

The public names stand in `__init__.pyi`, with where each comes from. They are loaded on first use,
so that importing the package is cheap and changes nothing global: no x64 switch, no device set-up.
Entry points (the command line, tests) do that. Some modules are reached the same way (`cg.records`,
`cg.gradients`, `cg.hypo`), all others by import: `from clo_gen.risk import losses`.

Cash wants double precision, `jax.config.update("jax_enable_x64", True)`. In the examples of
docstrings that is set, jax, jax.numpy (jnp), numpy (np) and pandas (pd) are imported, the working
folder is the project's, and `a` is a small assembly:

    a = cg.assemble(*cg.read_config(overrides=["tape.synthetic.obligors=24",
                                               "deal=deals/static_amortising.toml"]))
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
