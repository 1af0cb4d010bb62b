"""Everything between the socket and the resolvers, for any schema."""
