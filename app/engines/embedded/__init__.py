"""The engine of laptops, demos and tests: every dialect runs here, on DuckDB, over a catalogue of Parquet files."""
