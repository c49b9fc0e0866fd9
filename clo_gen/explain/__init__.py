"""A deal in words."""

from clo_gen.explain.deal import explain_deal

__all__ = ["explain_deal"]
