"""Amazon Web Services, for the engines and the output store that live there."""
