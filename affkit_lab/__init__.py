"""Measure and repeat: what the paper and we found out."""
