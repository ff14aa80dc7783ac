"""Handle files and paths: open untrusted files, write whole files, keep paths inside a project."""
