"""Settings of the site, which finds its database by the variables of libpq: PGHOST and so on."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only for tests")
DEBUG = False
ALLOWED_HOSTS = ["guestbook.example.com"]
ROOT_URLCONF = "guestbook.urls"
INSTALLED_APPS = ["guestbook"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("PGDATABASE", "guestbook"),
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
        "USER": os.environ.get("PGUSER", ""),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
