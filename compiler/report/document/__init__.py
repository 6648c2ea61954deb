"""The report of results as a document: what it says, apart from how it is written (HTML, Markdown, CSV, a picture)."""
