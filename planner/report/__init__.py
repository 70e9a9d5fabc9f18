"""One self-contained HTML page about a study: numbers in `numbers`, drawings in `plots`, the page in `page`."""
