"""The paper's tables, and experiments beyond them."""
