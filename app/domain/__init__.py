"""Pure rules of the product, without any I/O."""
