from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]


def book(request: HttpRequest) -> HttpResponse:
    """Show all entries, and a form for another one."""
    form = EntryForm(request.POST or None)
    if form.is_valid():
        form.save()
        return redirect("book")
    context = {"entries": Entry.objects.all(), "form": form}
    return render(request, "book.html", context, status=400 if form.errors else 200)
