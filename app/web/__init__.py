"""HTTP beside GraphQL."""
