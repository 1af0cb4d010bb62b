"""What runs on the cluster: scripts of one file each, for Python 3.7 and later, with nothing else to import."""
