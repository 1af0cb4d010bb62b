"""From a task's text in its own dialect to statements that DuckDB runs; nothing here touches a database or a file."""
