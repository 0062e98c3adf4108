"""Who is measured, and how each is started and stopped; the floors among them use no library."""
