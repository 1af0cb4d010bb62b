"""`data-phantom reconcile`: comparing any two files, without a server, settings or a database."""
