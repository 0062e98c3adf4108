"""A guestbook: visitors sign, and all can read who was here."""
