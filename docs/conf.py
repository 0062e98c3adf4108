"""How Sphinx builds these pages: ``make docs``."""

import configparser
from pathlib import Path

from summon_testcase import errors, wording
from summon_testcase.declaration import options
from summon_testcase.executors import address, executor, simple
from summon_testcase.supervision import instance, lease

# What these modules import for type checkers alone: autodoc looks up all that annotations name.
vars(errors).update(Report=wording.Report)
vars(simple).update(Alive=options.Alive, Env=options.Env)
vars(executor).update(Instance=instance.Instance)
vars(address).update(Instance=instance.Instance, Lease=lease.Lease)

setup_cfg = configparser.ConfigParser()
setup_cfg.read(Path(__file__).resolve().parent.parent / "setup.cfg")

project = "summon_testcase"
author = "summon_testcase contributors"
project_copyright = author
release = version = setup_cfg["metadata"]["version"]

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": setup_cfg["metadata"]["description"]}
highlight_language = "python"

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"

# A broken reference to something of ours fails the build; other projects' pages, and our
# modules that no page describes, cannot be looked up.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!summon_testcase\.)[a-z_]+\..*"),
    (r"py:.*", r"summon_testcase\.[a-z_]+(\..*)?"),
    # in signatures, which name them without their module
    (r"py:class", r"Unpack|Options|AddressOptions|ClassOptions|Statuses|Command|Template|Key"),
    (r"py:class", r"T|FixtureScope|SimpleNamespace"),
]
