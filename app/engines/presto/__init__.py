"""The engine for tasks that run on a Presto or a Trino server."""
