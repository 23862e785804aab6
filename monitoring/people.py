"""Users and groups in the admin: Django's pages, saying what our groups may do where somebody is put into one.

Groups stand on the page that adds a user, too: an account without one sees nothing. Boxes to tick instead of Django's
two lists with arrows: they need no script, fit a phone, and each says what it means.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobs.admin import formatting
from monitoring.groups import GROUPS, MEANINGS

_STAFF = _("Needed to log in here. What is seen then, the groups decide.")
_ROOMS = ("audit", "jobs", "modelstore", "monitoring")


class GroupsField(forms.ModelMultipleChoiceField[Group]):
    """Boxes of the groups, each with what its members may do."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: Any) -> SafeString:
        """Return the group's name and meaning."""
        meaning = MEANINGS.get(obj.name) or _("a group of your own; its page lists what its members may do")
        return format_html("<strong>{}</strong>: {}", obj.name, meaning)


def _groups() -> GroupsField:
    return GroupsField(
        Group.objects.order_by("pk"),
        required=False,
        label=_("Groups"),
        help_text=_("Without a group a staff member logs in and sees nothing; a superuser needs none."),
    )


class NewUserForm(AdminUserCreationForm[User]):
    """Name and password, and what the person may do."""

    groups = _groups()

    class Meta(AdminUserCreationForm.Meta):
        """Fields that are asked for at once."""

        fields = ("username", "is_staff", "groups")
        help_texts = {"is_staff": _STAFF}


class UserForm(UserChangeForm[User]):
    """An account."""

    groups = _groups()

    class Meta(UserChangeForm.Meta):
        """Fields that are explained."""

        help_texts = {"is_staff": _STAFF}


class PeopleAdmin(UserAdmin[User]):
    """Accounts of staff."""

    form, add_form = UserForm, NewUserForm
    list_display = ("username", "kind", "in_groups", "last_login", "is_active")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        (_("What this person may do"), {"fields": ("is_staff", "groups")}),
    )
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("What this person may do"), {"fields": ("is_active", "is_staff", "groups", "is_superuser")}),
        (_("Personal info"), {"fields": ("first_name", "last_name", "email")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
        (_("Single permissions beside the groups"), {"classes": ("collapse",), "fields": ("user_permissions",)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Ask for the groups of all at once."""
        return super().get_queryset(request).prefetch_related("groups")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Tick "staff" for a new account: that is what accounts here are for."""
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer single permissions as boxes, those of this service only."""
        return _boxes(db_field, super().formfield_for_manytomany(db_field, request, **kwargs))

    @admin.display(description=_("kind"))
    def kind(self, user: User) -> Any:
        """Say in words what the two boxes mean together."""
        if user.is_superuser:
            return _("superuser: may do everything")
        return _("staff") if user.is_staff else _("no staff: cannot log in here")

    @admin.display(description=_("groups"))
    def in_groups(self, user: User) -> str:
        """Name the groups."""
        return ", ".join(group.name for group in user.groups.all()) or formatting.DASH


class MeaningAdmin(GroupAdmin):
    """Groups, with what their members may do."""

    list_display = ("name", "meaning", "members")
    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        """Offer permissions as boxes, those of this service only."""
        return _boxes(db_field, super().formfield_for_manytomany(db_field, request, **kwargs))

    @admin.display(description=_("members may"))
    def meaning(self, group: Group) -> Any:
        """Say what members may do."""
        return MEANINGS.get(group.name) or formatting.DASH

    @admin.display(description=_("members"))
    def members(self, group: Any) -> int:
        """Count them."""
        return int(group.member_count)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the members of all at once."""
        return super().get_queryset(request).annotate(member_count=Count("user"))


def _boxes(db_field: Any, field: Any) -> Any:
    """Make boxes of a field of permissions. Offered: what our groups hold, users and groups, and what anybody holds."""
    if db_field.name not in ("permissions", "user_permissions"):
        return field
    ours = [permission.split(".")[1] for held in GROUPS.values() for permission in held]
    offered = Permission.objects.filter(
        Q(content_type__app_label__in=_ROOMS, codename__in=ours)
        | Q(content_type__app_label="auth", content_type__model__in=("user", "group"))
        | Q(group__isnull=False)
        | Q(user__isnull=False)
    )
    field.queryset = Permission.objects.filter(pk__in=offered.values("pk")).select_related("content_type")
    field.widget = forms.CheckboxSelectMultiple(choices=field.choices)
    field.label_from_instance = lambda permission: permission.name
    field.help_text = ""
    return field


def register() -> None:
    """Put these pages in the place of Django's."""
    admin.site.unregister([User, Group])
    admin.site.register(User, PeopleAdmin)
    admin.site.register(Group, MeaningAdmin)
