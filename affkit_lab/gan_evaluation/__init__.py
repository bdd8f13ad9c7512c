"""How good generated faces are."""
