from django.urls import path

from checklists.views import acts, drafts, pages, texts

app_name = "checklists"
urlpatterns = [
    path("", pages.template_list, name="template_list"),
    path("import/", texts.import_page, name="import"),
    path("new/", drafts.new, name="new"),
    path("<str:slug>.md", pages.export, name="export"),
    path("<str:slug>/", pages.template, name="template"),
    path("<str:slug>/v/<int:number>/", pages.version, name="version"),
    path("<str:slug>/diff/", pages.diff, name="diff"),
    path("<str:slug>/edit/", drafts.edit, name="edit"),
    path("<str:slug>/markdown/", texts.edit_markdown, name="edit_markdown"),
    path("<str:slug>/retire/", acts.retire, name="retire"),
    path("<str:slug>/restore/", acts.restore, name="restore"),
    path("<str:slug>/copy/", acts.copy, name="copy"),
]
