"""One life of a service: its process, its files, and the clients of warden and keepers."""
