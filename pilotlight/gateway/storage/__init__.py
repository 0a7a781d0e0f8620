"""The SQLite database and the files of a gateway."""
