CREATE TABLE orders (
    id text PRIMARY KEY,
    item text NOT NULL REFERENCES items,
    cents integer NOT NULL
);
