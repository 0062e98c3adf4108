"""A notebook on the command line: ``python notebook.py FILE``."""

import cmd
import getpass
import sys
from pathlib import Path


class Notebook(cmd.Cmd):
    """Keeps a line of text for each ``add``, until it is closed by ``quit`` or Ctrl-D."""

    intro = "A notebook. Commands: add, list, lock, quit"
    prompt = "> "

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.notes = path.read_text().splitlines() if path.exists() else []

    def do_add(self, text: str) -> None:
        self.notes.append(text)
        print(f"{len(self.notes)}: {text}")

    def do_list(self, _: str) -> None:
        for number, text in enumerate(self.notes, 1):
            print(f"{number}: {text}")

    def do_lock(self, _: str) -> None:
        password = getpass.getpass("New password: ")
        while getpass.getpass("Locked. Password: ") != password:
            print("That is not it.")
        print("Unlocked.")

    def do_quit(self, _: str) -> bool:
        self.path.write_text("".join(f"{text}\n" for text in self.notes))
        print(f"{len(self.notes)} notes saved")
        return True

    do_EOF = do_quit

    def emptyline(self) -> bool:
        return False


def main() -> None:
    notebook = Notebook(Path(sys.argv[1]))
    while True:
        try:
            return notebook.cmdloop()
        except KeyboardInterrupt:
            print("Never mind.")
            notebook.intro = None


if __name__ == "__main__":
    main()
