CREATE TABLE items (
    name text PRIMARY KEY,
    cents integer NOT NULL
);
INSERT INTO items VALUES ('tea', 350), ('coffee', 400);
