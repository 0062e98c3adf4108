from django.db import models


class Entry(models.Model):
    """What one visitor has left."""

    name = models.CharField(max_length=80)
    text = models.CharField(max_length=500)
    signed = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["signed", "pk"]
