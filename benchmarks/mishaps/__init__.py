"""What can go wrong, provoked: bad inputs, kills and sheer size; ``benchmarks/reliability.py`` reports."""
