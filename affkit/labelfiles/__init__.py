"""Label files as they are handed out: Aff-Wild, and Aff-Wild2 from ABAW 1 to 8."""
