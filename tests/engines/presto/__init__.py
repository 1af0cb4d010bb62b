"""Tests of the engine for Presto and Trino."""
