"""The output store: result files, written aside and moved into place."""
