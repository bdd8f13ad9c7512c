"""What can go wrong, provoked: bad inputs, kills and sheer size; ``tests/reliability/report.py`` reports."""
