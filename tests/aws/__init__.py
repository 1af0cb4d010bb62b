"""Tests of what is shared by all that talks to AWS."""
