"""What a service has written: its log on disk, and the lines of it that are shown."""
