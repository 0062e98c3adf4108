"""Bring the database up to date: ``python -m shop.migrate``."""

from pathlib import Path

from .database import transaction

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    with transaction() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)")
        cursor.execute("SELECT name FROM migrations")
        done = {name for (name,) in cursor.fetchall()}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in done:
                cursor.execute(path.read_text())
                cursor.execute("INSERT INTO migrations VALUES (%s)", [path.name])
                print(f"{path.name} done")


if __name__ == "__main__":
    main()
