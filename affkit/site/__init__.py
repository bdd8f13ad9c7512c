"""The course as a site of plain HTML files: no server, no network."""
