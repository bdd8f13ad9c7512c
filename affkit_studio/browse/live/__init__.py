"""A page on which a generator draws faces in the visitor's browser, without any server."""
