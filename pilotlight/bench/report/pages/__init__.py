"""The HTML page of a report, part by part."""
