"""Jobs, one thin function each."""
