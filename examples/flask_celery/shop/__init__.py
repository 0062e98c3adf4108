"""A shop: the web application takes orders, and a worker writes them into the database."""
